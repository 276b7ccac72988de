"""Transformer and embedded predictor as two processes of one command: started, watched, stopped together."""

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from covidctnet.bundle import Bundle, load_bundle
from covidctnet.errors import CovidCTNetError
from serving.lifetime import PARENT_PIPE
from serving.settings import load_settings

_LOG = logging.getLogger(__name__)
_START_SECONDS = 180.0
_STOP_MARGIN_SECONDS = 10.0
_RESTARTS_APART_SECONDS = 60.0
_MAX_RESTARTS = 5


class ServingStoppedError(CovidCTNetError):
    """A serving process ended by itself."""


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """What `covidctnet serve` was told.

    Attributes:
        bundle: folder of the bundle that both processes serve.
        model: name under which clients ask for it.
        host: address that the transformer listens on.
        port, grpc_port: HTTP and gRPC ports of the transformer, 0 for free ones.
        tokens: file of hashed bearer tokens; None where no token is asked for.
        settings: YAML file of the serving settings; the defaults when None.
    """

    bundle: Path
    model: str = "covidctnet"
    host: str = "127.0.0.1"
    port: int = 8080
    grpc_port: int = 8081
    tokens: Path | None = None
    settings: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Served:
    """What runs: addresses for people, and process ids."""

    http: str
    grpc: str
    pair_id: str
    version: int
    predictor_pid: int
    transformer_pid: int


def serve(options: ServeOptions, *, on_ready: Callable[[Served], None]) -> None:
    """Start both processes, wait for a signal, stop them: the transformer first, whose requests need the predictor.

    A predictor that ends is started again, on the same port; a transformer that ends is an error.

    Raises:
        CovidCTNetError: the bundle is not intact, or a process did not start or ended by itself.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    settings = load_settings(options.settings)
    with contextlib.ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="covidctnet-serve-")))
        bundle = take(options.bundle, base / "bundle")
        predictor = stack.enter_context(_running(_predictor_command(options, lay_out(bundle, base / "models"), 0)))
        port = predictor.listen(stop)["grpc"]
        transformer = stack.enter_context(_running(_transformer_command(options, bundle.folder, port, base)))
        ports = transformer.listen(stop)
        if stop.is_set():
            return
        on_ready(
            Served(
                http=f"http://{options.host}:{ports['http']}",
                grpc=f"{options.host}:{ports['grpc']}",
                pair_id=bundle.pair_id,
                version=bundle.serving_version,
                predictor_pid=predictor.process.pid,
                transformer_pid=transformer.process.pid,
            )
        )
        again = _predictor_command(options, base / "models", port)
        _watch(predictor, transformer, again, stop, stack)
        transformer.stop(settings.admission.drain_seconds)


def take(bundle: Path, place: Path) -> Bundle:
    """A copy of a bundle, checked, that nobody else writes to.

    Training replaces a bundle's folder in place: a predictor that is started again would else load the new
    classifier under the version of the old pair.

    Raises:
        BundleError: it is no intact bundle.
    """
    load_bundle(bundle)
    shutil.copytree(bundle, place)
    return load_bundle(place)


def lay_out(bundle: Bundle, base_path: Path) -> Path:
    """A model base path as TensorFlow Serving wants it: one folder, named by the version, that is the classifier."""
    base_path.mkdir(parents=True)
    (base_path / str(bundle.serving_version)).symlink_to(bundle.classifier_path.resolve(), target_is_directory=True)
    return base_path


class Child:
    """A serving process, its logs passed on to standard error as they come.

    Args:
        command: what to run.
    """

    def __init__(self, command: list[str]) -> None:
        # A session of its own: Ctrl-C reaches the supervisor alone, which stops both in order.
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
            env=os.environ | {PARENT_PIPE: "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self._ports: dict[str, int] = {}
        self._listening = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def listen(self, stop: threading.Event) -> dict[str, int]:
        """Wait until it listens; its ports by name. Empty after a stop.

        Raises:
            ServingStoppedError: it ended, or needs too long.
        """
        deadline = time.monotonic() + _START_SECONDS
        while not self._listening.wait(0.1):
            if stop.is_set():
                return {"http": 0, "grpc": 0}
            if self.process.poll() is not None:
                raise ServingStoppedError(f"a serving process ended while it started (status {self.process.poll()})")
            if time.monotonic() > deadline:
                raise ServingStoppedError(f"a serving process did not start within {_START_SECONDS:.0f} s")
        return self._ports

    def stop(self, seconds: float) -> None:
        """Ask it to end, wait for its requests in flight, and end it when they take too long."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds + _STOP_MARGIN_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(ValueError):
            for line in self.process.stdout:
                if line.startswith("listening "):
                    pairs = (word.partition("=") for word in line.split()[2:])
                    self._ports = {name: int(value) for name, _, value in pairs}
                    self._listening.set()


@contextmanager
def _running(command: list[str]) -> Iterator[Child]:
    child = Child(command)
    try:
        yield child
    finally:
        child.stop(0.0)


def _watch(
    predictor: Child, transformer: Child, again: list[str], stop: threading.Event, stack: contextlib.ExitStack
) -> None:
    restarts: list[float] = []
    while not stop.wait(0.2):
        if transformer.process.poll() is not None:
            raise ServingStoppedError(f"the transformer ended by itself (status {transformer.process.poll()})")
        if predictor.process.poll() is None:
            continue
        now = time.monotonic()
        restarts = [*(moment for moment in restarts if now - moment < _RESTARTS_APART_SECONDS), now]
        if len(restarts) > _MAX_RESTARTS:
            raise ServingStoppedError(f"the predictor ended {len(restarts)} times within a minute")
        _LOG.warning("the predictor ended and is started again")
        predictor = stack.enter_context(_running(again))


def _predictor_command(options: ServeOptions, models: Path, port: int) -> list[str]:
    flags = [f"--model_name={options.model}", f"--model_base_path={models}", f"--port={port}"]
    return [sys.executable, "-m", "serving.predictor", *flags, *_settings(options)]


def _transformer_command(options: ServeOptions, bundle: Path, predictor_port: int, spool: Path) -> list[str]:
    flags = [
        f"--bundle={bundle}",
        f"--model_name={options.model}",
        f"--predictor_host=127.0.0.1:{predictor_port}",
        f"--host={options.host}",
        f"--http_port={options.port}",
        f"--grpc_port={options.grpc_port}",
        f"--spool={spool}",
        "--no-auth" if options.tokens is None else f"--tokens={options.tokens}",
    ]
    return [sys.executable, "-m", "serving.transformer", *flags, *_settings(options)]


def _settings(options: ServeOptions) -> list[str]:
    return [] if options.settings is None else [f"--settings={options.settings}"]
