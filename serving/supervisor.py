"""Transformer and embedded predictor as two processes of one command: started, watched, stopped together."""

import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from serving.running_pair import Listening, RunningPair, ServeOptions
from serving.settings import load_settings

WATCH_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class Served:
    """What runs: addresses for people, and which pair answers there."""

    http: str
    grpc: str
    pair_id: str
    version: int


def serve(options: ServeOptions, bundle: Path, *, on_ready: Callable[[Served], None]) -> None:
    """Serve one bundle until a signal.

    A predictor that ends is started again, on the same port; a transformer that ends is an error.

    Args:
        options: addresses, tokens, settings.
        bundle: folder of the bundle.
        on_ready: told once what runs.

    Raises:
        CovidCTNetError: the bundle is not intact, or a process did not start or ended by itself.
    """
    stop, settings = stop_on_signal(), load_settings(options.settings)
    with scratch() as base:
        pair = RunningPair(options, bundle, base / "pair")
        try:
            pair.start(Listening(host=options.host, port=options.port, grpc_port=options.grpc_port), stop)
            if stop.is_set():
                return
            on_ready(describe(pair, options.host, pair.ports["http"], pair.ports["grpc"]))
            while not stop.wait(WATCH_SECONDS):
                pair.watch()
            pair.close(settings.admission.drain_seconds)
        finally:
            pair.close()


def describe(pair: RunningPair, host: str, port: int, grpc_port: int) -> Served:
    """What clients see of a pair."""
    return Served(
        http=f"http://{host}:{port}",
        grpc=f"{host}:{grpc_port}",
        pair_id=pair.bundle.pair_id,
        version=pair.bundle.serving_version,
    )


def stop_on_signal() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="covidctnet-serve-") as base:
        yield Path(base)
