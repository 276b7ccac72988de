"""Something looked at again and again beside what is measured."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def sampled(look: Callable[[], None], seconds: float) -> Iterator[None]:
    """Look once when the block begins, then every so many seconds until it ends.

    Args:
        look: called in a thread of its own.
        seconds: between two looks.
    """
    done = threading.Event()

    def run() -> None:
        look()
        while not done.wait(seconds):
            look()

    thread = threading.Thread(target=run, name="sampling")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
