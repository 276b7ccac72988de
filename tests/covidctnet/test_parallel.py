import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from covidctnet.parallel import map_on_cores, start_worker

ROOT = Path(__file__).parents[2]


def test_items_are_worked_on_at_once_and_answers_come_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("covidctnet.parallel.usable_cores", lambda: 3)
    meeting = threading.Barrier(3, timeout=10)

    def work(number: int) -> int:
        meeting.wait()
        return number**2

    assert map_on_cores(work, range(6)) == [0, 1, 4, 9, 16, 25]


def test_an_error_of_a_call_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        map_on_cores(lambda number: 1 // number, [1, 0, 2])


def threads_of_worker(cores: int) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("covidctnet.parallel.usable_cores", lambda: cores)
        return len(set(map_on_cores(lambda number: time.sleep(0.05) or threading.get_ident(), range(4))))


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (4, 2)])
def test_workers_of_a_pool_share_the_cores(cores: int, threads: int) -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn"), initializer=start_worker, initargs=(2,)) as pool:
        assert pool.submit(threads_of_worker, cores).result() == threads


POOL = """
import sys, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from covidctnet.parallel import start_worker
if __name__ == "__main__":
    with ProcessPoolExecutor(2, mp_context=get_context("spawn"), initializer=start_worker, initargs=(2,)) as pool:
        pool.submit(abs, -1).result()
        print("ready", flush=True)
        pool.submit(time.sleep, 600).result()
"""


def test_workers_go_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "pool.py"
    script.write_text(POOL)
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.kill()
    # Workers that live on keep the pipe open, and whoever reads it waits forever.
    reader = threading.Thread(target=process.stdout.read, daemon=True)
    reader.start()
    reader.join(20)
    assert not reader.is_alive()
    process.wait()
    process.stdout.close()
