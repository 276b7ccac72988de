import numpy as np
import pytest

from benchmarks.queueing import HOURS, answers, arrivals, services


def test_studies_are_taken_in_order_by_the_first_free_place() -> None:
    taken = answers(np.array([0.0, 1.0, 2.0, 30.0]), np.array([10.0, 10.0, 10.0, 10.0]), places=2)
    np.testing.assert_allclose(taken, [10.0, 10.0, 18.0, 10.0])


def test_the_wait_of_one_place_is_that_of_pollaczek_and_khinchine() -> None:
    rng = np.random.default_rng(1)
    rate, seconds, count = 0.7, 1.0, 400_000
    times = np.cumsum(rng.exponential(1.0 / rate, count))
    work = services(count, seconds, 0.5, rng)
    wait = answers(times, work, places=1).mean() - work.mean()
    expected = rate * (work**2).mean() / (2.0 * (1.0 - rate * work.mean()))
    assert wait == pytest.approx(expected, rel=0.05)


def test_arrivals_follow_the_hours_of_the_day() -> None:
    times = arrivals(10_000, 30, np.random.default_rng(2))
    assert (np.diff(times) >= 0).all()
    found = np.bincount((times // 3600).astype(int) % 24, minlength=24) / len(times)
    np.testing.assert_allclose(found, HOURS / HOURS.sum(), atol=0.005)


def test_services_have_the_mean_and_the_spread_that_is_asked_for() -> None:
    work = services(200_000, 9.0, 0.4, np.random.default_rng(3))
    assert work.mean() == pytest.approx(9.0, rel=0.01)
    assert work.std() / work.mean() == pytest.approx(0.4, rel=0.02)
