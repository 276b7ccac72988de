import threading

import pytest

from covidctnet.parallel import map_on_cores


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
