"""Which study is worked on, which one waits and which one is refused; and how work learns that nobody waits for it."""

import asyncio
import contextlib
import contextvars
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from serving.errors import BusyError, LateError, NotReadyError, StoppedError
from serving.settings import AdmissionSettings
from serving.telemetry.tracing import span

T = TypeVar("T")

_FIRST_GUESS_SECONDS = 5.0
_RECENT = 0.2


class Job:
    """One request's work: its id, deadline, whether it was stopped, and the seconds of each stage.

    Args:
        request_id: as in answers and logs.
        seconds: from now to the deadline.
    """

    def __init__(self, request_id: str, seconds: float) -> None:
        self.request_id = request_id
        self.timings: dict[str, float] = {}
        self._progress: tuple[str, float | None] = ("upload", None)
        self._started = time.monotonic()
        self._deadline = self._started + seconds
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._cancel: Callable[[], object] | None = None

    @property
    def remaining(self) -> float:
        """Seconds to the deadline, at least 0."""
        return max(0.0, self._deadline - time.monotonic())

    @property
    def elapsed(self) -> float:
        """Seconds since the request came."""
        return time.monotonic() - self._started

    @property
    def progress(self) -> tuple[str, float | None]:
        """The stage that is being worked on, and which share of it is done where that is known."""
        return self._progress

    def enter(self, stage: str, share: float | None = None) -> None:
        """Say what is being worked on, for whoever waits."""
        self._progress = (stage, share)

    def stop(self) -> None:
        """Ask the work to end at its next check, or where it waits for somebody else."""
        self._stopped.set()
        with self._lock:
            cancel = self._cancel
        if cancel is not None:
            cancel()

    @contextmanager
    def ended_by(self, cancel: Callable[[], object]) -> Iterator[None]:
        """Have `cancel` called by a stop while the work waits inside, also by one that came just before."""
        with self._lock:
            self._cancel = cancel
        try:
            if self._stopped.is_set():
                cancel()
            yield
        finally:
            with self._lock:
                self._cancel = None

    def wait(self, seconds: float) -> None:
        """Sleep, but not after a stop."""
        self._stopped.wait(seconds)

    def check(self) -> None:
        """Go on only while somebody waits for the answer.

        Raises:
            LateError: the deadline passed.
            StoppedError: the client went away.
        """
        if self.remaining == 0.0:
            raise LateError("the deadline passed while the study was worked on")
        if self._stopped.is_set():
            raise StoppedError("the work was stopped")

    def add(self, stage: str, seconds: float) -> None:
        """Count seconds to a stage; threads may do so at once."""
        with self._lock:
            self.timings[stage] = self.timings.get(stage, 0.0) + seconds

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Check, then time and trace what happens inside."""
        self.check()
        self.enter(name)
        began = time.monotonic()
        try:
            with span(name):
                yield
        finally:
            self.add(name, time.monotonic() - began)


class Admission:
    """A fixed number of workers and of places to wait.

    Args:
        settings: how many, and the deadline.
    """

    def __init__(self, settings: AdmissionSettings) -> None:
        self._settings = settings
        self._pool = ThreadPoolExecutor(settings.workers, thread_name_prefix="study")
        self._held = 0
        self._closed = False
        self._typical_seconds = _FIRST_GUESS_SECONDS

    @property
    def held(self) -> int:
        """Studies that are worked on or wait."""
        return self._held

    @property
    def waiting(self) -> int:
        """Studies that wait."""
        return max(0, self._held - self._settings.workers)

    @property
    def closed(self) -> bool:
        """Whether the server is stopping."""
        return self._closed

    def close(self) -> None:
        """Refuse every new study; those admitted go on."""
        self._closed = True

    def shut_down(self) -> None:
        """Let go of the workers, after `close` and when none is needed any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def require_open(self) -> None:
        """Refuse where the server is stopping.

        Raises:
            NotReadyError: it is.
        """
        if self._closed:
            raise NotReadyError("the server is stopping; send the study again", retry_after=5)

    def require_place(self) -> None:
        """Refuse early, before a large body is read.

        Raises:
            NotReadyError: the server is stopping.
            BusyError: every place is taken.
        """
        self.require_open()
        self._require_capacity()

    def _require_capacity(self) -> None:
        settings = self._settings
        if self._held >= settings.workers + settings.queue:
            waves = self._held / settings.workers
            raise BusyError(
                f"{self._held} studies are worked on or wait; send the study again later",
                retry_after=waves * self._typical_seconds / 2,
            )

    async def run(self, job: Job, work: Callable[[], T]) -> T:
        """Wait for a worker and have it do the work; the place is free again when the work has really ended.

        A request that passed `require_place` is worked on also where the server began to stop since.

        Raises:
            BusyError: every place is taken.
            LateError: the deadline passed, in the queue or in the work.
        """
        self._require_capacity()
        loop, context, queued = asyncio.get_running_loop(), contextvars.copy_context(), time.monotonic()

        def begin() -> T:
            job.add("queue", time.monotonic() - queued)
            job.check()
            began = time.monotonic()
            result = context.run(work)
            self._learn(time.monotonic() - began)
            return result

        job.enter("queue")
        self._held += 1
        future: Future[T] = self._pool.submit(begin)
        future.add_done_callback(lambda _: self._release_on(loop))
        try:
            async with asyncio.timeout(job.remaining):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            job.stop()
            raise LateError("the deadline passed; send the study again when less is waiting") from None
        except asyncio.CancelledError:
            job.stop()
            raise

    def _learn(self, seconds: float) -> None:
        self._typical_seconds += _RECENT * (seconds - self._typical_seconds)

    def _release_on(self, loop: asyncio.AbstractEventLoop) -> None:
        # Work that outlives the server's grace ends after its loop.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._release)

    def _release(self) -> None:
        self._held -= 1
