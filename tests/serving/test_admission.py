"""Who may work, who waits, who is refused, and who stops."""

import asyncio
import threading
import time

import pytest

from serving.admission import Admission, Job
from serving.errors import BusyError, LateError, NotReadyError, StoppedError
from serving.settings import AdmissionSettings


def admission(workers: int = 1, queue: int = 1) -> Admission:
    return Admission(AdmissionSettings(workers=workers, queue=queue))


def test_the_place_after_the_last_is_refused_with_a_time_to_come_back() -> None:
    async def run() -> None:
        gate, busy = admission(), threading.Event()
        tasks = [asyncio.create_task(gate.run(Job("x", 30), busy.wait)) for _ in range(2)]
        await asyncio.sleep(0.05)
        assert (gate.held, gate.waiting) == (2, 1)
        with pytest.raises(BusyError) as refused:
            gate.require_place()
        assert refused.value.retry_after is not None
        assert refused.value.retry_after > 0
        with pytest.raises(BusyError):
            await gate.run(Job("x", 30), busy.wait)
        busy.set()
        assert await asyncio.gather(*tasks) == [True, True]
        await asyncio.sleep(0.05)
        assert gate.held == 0
        gate.shut_down()

    asyncio.run(run())


def test_a_deadline_in_the_queue_is_told_at_once_and_the_place_is_free_again() -> None:
    async def run() -> None:
        gate, busy = admission(), threading.Event()
        first = asyncio.create_task(gate.run(Job("first", 30), busy.wait))
        await asyncio.sleep(0.05)
        began = time.monotonic()
        with pytest.raises(LateError):
            await gate.run(Job("second", 0.1), lambda: pytest.fail("it must not be worked on"))
        assert time.monotonic() - began < 2
        await asyncio.sleep(0.05)
        assert gate.held == 1
        busy.set()
        await first
        gate.shut_down()

    asyncio.run(run())


def test_a_place_is_held_until_the_work_has_really_ended() -> None:
    async def run() -> None:
        gate, ended = admission(queue=0), threading.Event()
        job = Job("x", 0.1)
        with pytest.raises(LateError):
            await gate.run(job, lambda: ended.wait(5))
        assert gate.held == 1
        with pytest.raises(LateError):
            job.check()
        ended.set()
        await asyncio.sleep(0.1)
        assert gate.held == 0
        gate.shut_down()

    asyncio.run(run())


def test_cancelling_stops_the_work_at_its_next_check() -> None:
    async def run() -> None:
        gate, job, stopped = admission(), Job("x", 30), threading.Event()

        def work() -> None:
            try:
                while True:
                    job.check()
                    time.sleep(0.01)
            except StoppedError:
                stopped.set()
                raise

        task = asyncio.create_task(gate.run(job, work))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(stopped.wait, 5)
        gate.shut_down()

    asyncio.run(run())


def test_a_stopping_server_refuses_and_finishes() -> None:
    async def run() -> None:
        gate, busy = admission(), threading.Event()
        task = asyncio.create_task(gate.run(Job("x", 30), busy.wait))
        await asyncio.sleep(0.05)
        gate.close()
        with pytest.raises(NotReadyError, match="stopping"):
            gate.require_place()
        # Its upload began before.
        late = asyncio.create_task(gate.run(Job("late", 30), busy.wait))
        busy.set()
        assert await asyncio.gather(task, late) == [True, True]
        gate.shut_down()

    asyncio.run(run())


def test_a_stop_ends_what_the_work_waits_for_and_nothing_later() -> None:
    job, calls = Job("x", 30), []
    with job.ended_by(lambda: calls.append("first")):
        pass
    assert calls == []
    with job.ended_by(lambda: calls.append("second")):
        job.stop()
    with job.ended_by(lambda: calls.append("third")):
        pass
    assert calls == ["second", "third"]


def test_stages_add_up_from_several_threads() -> None:
    job = Job("x", 30)
    threads = [threading.Thread(target=job.add, args=("denoise", 0.5)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with job.stage("read"):
        time.sleep(0.01)
    assert job.timings["denoise"] == pytest.approx(10.0)
    assert job.timings["read"] >= 0.01
