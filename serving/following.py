"""Serves the model that an alias names: when it moves, the new pair starts beside the old one and takes over."""

import contextlib
import http.client
import logging
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from covidctnet.errors import CovidCTNetError
from serving.child import ServingStoppedError
from serving.relay import Relay
from serving.running_pair import Listening, RunningPair, ServeOptions
from serving.settings import ServingSettings, load_settings
from serving.supervisor import WATCH_SECONDS, Served, describe, scratch, stop_on_signal

_LOG = logging.getLogger(__name__)
_HOST = "127.0.0.1"
_ASK_SECONDS = 5.0
_LINGER_SECONDS = 30.0
"""Idle clients are closed by the server within seconds; beyond this margin they are cut."""


class Source(Protocol):
    """Where an alias points to."""

    def current(self) -> str:
        """The `pair_id` that the alias names now.

        Raises:
            CovidCTNetError: it names none, or cannot be asked.
        """

    def fetch(self, pair_id: str, folder: Path) -> Path:
        """Bring a bundle to a folder, checked.

        Raises:
            CovidCTNetError: it is not there, or not intact.
        """


@dataclass(frozen=True)
class _Failure:
    """A pair that did not come up."""

    pair_id: str


def follow(options: ServeOptions, source: Source, *, on_change: Callable[[Served], None]) -> None:
    """Serve the alias's pair until a signal, and each pair that it names later.

    Clients keep one address. A new pair starts beside the old one, answers for a made-up study, and only then gets new
    connections. The old one finishes its own and stops. A pair that fails before that is left, and the old one stays.

    Args:
        options: addresses, tokens, settings.
        source: of the alias and its bundles.
        on_change: told what runs, at the start and after each change.

    Raises:
        CovidCTNetError: the first pair does not start, or the serving one ended by itself.
    """
    stop, settings = stop_on_signal(), load_settings(options.settings)
    with contextlib.ExitStack() as stack:
        base = stack.enter_context(scratch())
        starter = _Starter(options, source, settings, base, stop)
        stack.callback(starter.close)
        pair = starter.start(source.current())
        if stop.is_set():
            return
        relays = {}
        for name, port in (("http", options.port), ("grpc", options.grpc_port)):
            relays[name] = Relay(options.host, port, pair.ports[name])
            stack.callback(relays[name].close)
        _Follower(options, starter, settings, relays, stop, on_change).run(pair)


class _Starter:
    """Starts pairs, and knows them all so that none is left behind."""

    def __init__(
        self, options: ServeOptions, source: Source, settings: ServingSettings, base: Path, stop: threading.Event
    ) -> None:
        self.source, self._stop = source, stop
        self._options, self._settings, self._base = options, settings, base
        self._started = 0
        self._pairs: list[RunningPair] = []

    def start(self, pair_id: str) -> RunningPair:
        """A pair that has answered for a made-up study and says that it is ready.

        Raises:
            CovidCTNetError: it cannot be fetched, or did not come up.
        """
        self._started += 1
        place = self._base / str(self._started)
        seconds = self._settings.follow.rehearse_seconds
        try:
            pair = RunningPair(self._options, self.source.fetch(pair_id, place / "fetched"), place / "pair")
            self._pairs.append(pair)
            if pair.bundle.pair_id != pair_id:
                raise ServingStoppedError(f"bundle {pair.bundle.pair_id} came where {pair_id} was asked for")
            pair.start(Listening(host=_HOST, rehearse_seconds=seconds), self._stop)
            self._wait_until_ready(pair, seconds)
        except BaseException:
            for left in [one for one in self._pairs if one.place.parent == place]:
                self.end(left)
            shutil.rmtree(place, ignore_errors=True)
            raise
        finally:
            shutil.rmtree(place / "fetched", ignore_errors=True)
        return pair

    def _wait_until_ready(self, pair: RunningPair, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._stop.wait(WATCH_SECONDS):
            pair.require_both()
            if _is_ready(pair.ports["http"]):
                return
            if time.monotonic() > end:
                raise ServingStoppedError(f"pair {pair.bundle.pair_id} was not ready within {seconds:.0f} s")

    def end(self, pair: RunningPair, drain_seconds: float = 0.0) -> None:
        """Stop a pair and forget it."""
        pair.close(drain_seconds)
        self._pairs.remove(pair)

    def close(self) -> None:
        """Stop all that is left."""
        for pair in list(self._pairs):
            self.end(pair)


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection(_HOST, port, timeout=_ASK_SECONDS)
    try:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class _Follower:
    """Changes from pair to pair until a stop."""

    def __init__(
        self,
        options: ServeOptions,
        starter: _Starter,
        settings: ServingSettings,
        relays: dict[str, Relay],
        stop: threading.Event,
        on_change: Callable[[Served], None],
    ) -> None:
        self._options, self._starter, self._settings = options, starter, settings
        self._relays, self._stop, self._on_change = relays, stop, on_change
        self._complained = ""
        self._failed: dict[str, tuple[float, float]] = {}
        self._leaving: list[Future[None]] = []

    def run(self, pair: RunningPair) -> None:
        """Watch the alias and the pair until a stop."""
        self._tell(pair)
        look: Future[RunningPair | _Failure | None] | None = None
        next_look = 0.0
        with ThreadPoolExecutor(thread_name_prefix="follow") as pool:
            try:
                while not self._stop.wait(WATCH_SECONDS):
                    pair.watch()
                    self._reap()
                    if look is None and time.monotonic() >= next_look and not self._leaving:
                        look = pool.submit(self._look, pair.bundle.pair_id)
                    elif look is not None and look.done():
                        found, look = look.result(), None
                        next_look = time.monotonic() + self._settings.follow.poll_seconds
                        if isinstance(found, RunningPair):
                            pair = self._change(pair, found, pool)
                        elif found is not None:
                            self._postpone(found)
                for relay in self._relays.values():
                    relay.stop_listening()
                self._starter.end(pair, self._settings.admission.drain_seconds)
            finally:
                # Whatever waits in the pool ends soon after.
                self._stop.set()

    def _look(self, serving: str) -> RunningPair | _Failure | None:
        """A new pair where the alias names one; runs beside the loop, for minutes."""
        try:
            wanted = self._starter.source.current()
        except CovidCTNetError as error:
            self._complain(f"{type(error).__name__}: {error}")
            return None
        self._complained = ""
        if wanted == serving:
            self._failed.clear()
            return None
        if time.monotonic() < self._failed.get(wanted, (0.0, 0.0))[0]:
            return None
        _LOG.info("pair starts", extra={"fields": {"pair_id": wanted, "serving": serving}})
        try:
            return self._starter.start(wanted)
        except (CovidCTNetError, OSError) as error:
            reason = str(error) if isinstance(error, CovidCTNetError) else type(error).__name__
            fields = {"pair_id": wanted, "serving": serving, "reason": reason}
            _LOG.error("pair failed, the old one stays", extra={"fields": fields})
            return _Failure(wanted)

    def _complain(self, message: str) -> None:
        if message != self._complained:
            _LOG.warning("the alias cannot be followed", extra={"fields": {"reason": message}})
        self._complained = message

    def _postpone(self, failure: _Failure) -> None:
        follow = self._settings.follow
        _, pause = self._failed.get(failure.pair_id, (0.0, follow.retry_seconds))
        self._failed[failure.pair_id] = (time.monotonic() + pause, min(2 * pause, follow.max_retry_seconds))

    def _change(self, old: RunningPair, new: RunningPair, pool: ThreadPoolExecutor) -> RunningPair:
        if self._stop.is_set():
            return old
        for name, relay in self._relays.items():
            relay.point_to(new.ports[name])
        old.send_away()
        self._leaving.append(pool.submit(self._let_go, old))
        fields = {"pair_id": new.bundle.pair_id, "before": old.bundle.pair_id}
        _LOG.info("pair changed", extra={"fields": fields})
        self._tell(new)
        return new

    def _let_go(self, pair: RunningPair) -> None:
        """Stop a pair once its last connection is closed; it gets no new ones."""
        admission = self._settings.admission
        patience = admission.request_seconds + admission.grpc_connection_seconds + _LINGER_SECONDS
        end = time.monotonic() + patience
        while any(relay.connections(pair.ports[name]) for name, relay in self._relays.items()):
            if self._stop.wait(WATCH_SECONDS) or time.monotonic() > end:
                break
        self._starter.end(pair, admission.drain_seconds)
        _LOG.info("pair stopped", extra={"fields": {"pair_id": pair.bundle.pair_id}})

    def _reap(self) -> None:
        for ended in [future for future in self._leaving if future.done()]:
            self._leaving.remove(ended)
            ended.result()

    def _tell(self, pair: RunningPair) -> None:
        ports = {name: relay.port for name, relay in self._relays.items()}
        self._on_change(describe(pair, self._options.host, ports["http"], ports["grpc"]))
