"""Stop a training in good order when the system asks for it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether a stop was asked for; true once asked."""

    def __init__(self) -> None:
        self._asked = False

    def ask(self) -> None:
        """Ask for a stop after the batch that is under way."""
        self._asked = True

    def __bool__(self) -> bool:
        return self._asked


@contextmanager
def stop_on_sigterm() -> Iterator[StopRequest]:
    """Take SIGTERM for a request to stop; the earlier handler comes back afterwards.

    Only the main thread may handle signals: elsewhere nothing is changed, and nothing ever asks.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def handle(number: int, frame: FrameType | None) -> None:
        request.ask()

    earlier = signal.signal(signal.SIGTERM, handle)
    try:
        yield request
    finally:
        signal.signal(signal.SIGTERM, earlier)
