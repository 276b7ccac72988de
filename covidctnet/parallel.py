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

_sharing = 1
"""Processes that share the cores with this one, itself among them."""


def map_on_cores(work: Callable[[Item], Answer], items: Iterable[Item]) -> list[Answer]:
    """Call `work` with every item, on all cores that the process may use; the answers are in order.

    The first error that a call raises is raised here.
    """
    threads = share_of_cores()
    if threads == 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, items))


def share_of_cores() -> int:
    """Cores for this process: all that it may use, divided by the workers of its pool; at least 1."""
    return max(1, usable_cores() // _sharing)


def start_worker(workers: int) -> None:
    """For the initializer of a pool of processes: the worker takes its share of the cores, and ends with its parent.

    Args:
        workers: of the pool; threads of each on every core would only get in each other's way.
    """
    global _sharing
    _sharing = workers
    _leave_with_parent()


def _leave_with_parent() -> None:
    # A worker waits for work that a killed parent will never send, and nothing else would wake it.
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
