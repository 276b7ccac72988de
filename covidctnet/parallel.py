"""Work on slices side by side: the libraries that do it let go of the interpreter lock."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from covidctnet.machine import usable_cores

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def map_on_cores(work: Callable[[Item], Answer], items: Iterable[Item]) -> list[Answer]:
    """Call `work` with every item, on all cores that the process may use; the answers are in order.

    The first error that a call raises is raised here.
    """
    with ThreadPoolExecutor(usable_cores()) as pool:
        return list(pool.map(work, items))


def leave_with_parent() -> None:
    """End this worker process when the one that started it is gone; for the initializer of a pool.

    A worker waits for work that a killed parent will never send, and nothing else would wake it.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
