"""Every failure at every step of a roll-out: one whole pair serves afterwards, and a rerun brings it to an end."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest

from covidctnet.errors import RolloutError
from covidctnet.rollout.machine import Pair, Rollout
from integrations.kubernetes_api import Cluster
from integrations.rollout.deploy import roll_out_pair
from integrations.rollout.driver import Site
from tests.helpers.kubernetes_objects import SILENT, SILENT_SECONDS, Asked, Fault
from tests.helpers.rollout_world import A, B, World, quick, reconnected

pytestmark = [pytest.mark.slow, pytest.mark.long]

ONCE = {
    "an error": Fault(500),
    "an error after the change": Fault(500, after=True),
    "a conflict": Fault(409),
    "a refusal": Fault(403),
    "not found": Fault(404),
    "a cut connection": Fault(0),
    "a lost answer": Fault(0, after=True),
}


class KilledError(BaseException):
    """The process is gone: nothing of it runs any more."""


FAST = {"full": {"requests": 0, "seconds": 0, "patience_seconds": 300}}


@cache
def serving() -> World:
    """A serves."""
    world = World()
    world.api.schemas = False
    with world.site() as site:
        assert roll_out_pair(A, site, quick(**FAST)).stage == "done"
    return world


@contextmanager
def begun() -> Iterator[tuple[World, Site]]:
    """A world of its own, where A serves."""
    world = serving().copied()
    with world.site() as site:
        yield world, site


@cache
def steps() -> range:
    """The requests that a roll-out without failures makes, from 1 on."""
    with begun() as (world, site):
        assert roll_out_pair(B, site, quick(**FAST)).stage == "done"
        return range(1, len(world.api.asked) + 1)


def at(number: int, world: World, fault: Fault | None, *, always: bool = False) -> Callable[[Asked], Fault | None]:
    """Break the n-th request from now on, or all from there on."""
    first = len(world.api.asked) + number

    def choose(asked: Asked) -> Fault | None:
        count = len(world.api.asked)
        return fault if count == first or (always and count > first) else None

    return choose


def rerun(world: World, site: Site, pair: Pair) -> Rollout | None:
    """What a new process comes to; None where the pair was returned before, which it says."""
    world.api.fault = lambda asked: None
    world.sleep(5)
    try:
        return roll_out_pair(pair, reconnected(site, world), quick(**FAST))
    except RolloutError as error:
        if "was returned before" not in str(error):
            raise
        return None


def conclude(world: World, site: Site, where: str) -> None:
    """One whole pair serves; after a rerun, it does so alone and the roll-out has ended."""
    assert world.broken == [], where
    assert sum(world.route().values()) == 100, where
    rerun(world, site, B)
    assert world.broken == [], where
    assert world.served["nobody"] == 0, where
    state = world.state()
    assert state["stage"] in {"done", "returned"}, where
    (serves,) = world.route()
    assert serves == (B.pair_id if state["stage"] == "done" else A.pair_id), where
    assert world.pairs() == {serves}, where
    assert world.mirror() is None, where


@pytest.mark.parametrize("name", ONCE)
def test_one_request_that_goes_wrong(name: str) -> None:
    for number in steps():
        with begun() as (world, site):
            world.api.fault = at(number, world, ONCE[name])
            with contextlib.suppress(RolloutError):
                roll_out_pair(B, site, quick(**FAST))
            conclude(world, site, f"{name} at request {number}")


@pytest.mark.parametrize("moment", ["before", "after"])
def test_one_request_that_is_never_answered(moment: str) -> None:
    class Hasty(Cluster):
        def _call(self, *arguments: Any, **more: Any) -> Any:
            return super()._call(*arguments, **{**more, "read_seconds": SILENT_SECONDS / 3})

    for number in steps():
        with begun() as (world, site):
            world.api.fault = at(number, world, Fault(SILENT, after=moment == "after"))
            with contextlib.suppress(RolloutError):
                roll_out_pair(B, reconnected(site, world, kind=Hasty), quick(**FAST))
            conclude(world, site, f"no answer {moment} request {number}")


def test_an_api_that_is_away_from_some_request_on() -> None:
    for number in steps():
        with begun() as (world, site):
            world.api.fault = at(number, world, Fault(503), always=True)
            with pytest.raises(RolloutError):
                roll_out_pair(B, site, quick(**FAST))
            conclude(world, site, f"outage from request {number}")


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_process_that_is_killed(moment: str) -> None:
    for number in steps():
        left = [number]

        class Mortal(Cluster):
            def _call(self, *arguments: Any, left: list[int] = left, **more: Any) -> Any:
                left[0] -= 1
                if left[0] == 0 and moment == "before":
                    raise KilledError
                answer = super()._call(*arguments, **more)
                if left[0] == 0:
                    raise KilledError
                return answer

        with begun() as (world, site):
            with pytest.raises(KilledError):
                roll_out_pair(B, reconnected(site, world, kind=Mortal), quick(**FAST))
            conclude(world, site, f"killed {moment} request {number}")
            assert world.state()["stage"] == "done"


def test_a_pair_that_is_not_ready_any_more() -> None:
    outcomes = []
    for number in steps():
        with begun() as (world, site):

            def fail(asked: Asked, world: World = world, number: int = number) -> None:
                if len(world.api.asked) == number:
                    world.not_ready.add(B.pair_id)
                    world.set_ready(B.pair_id, False)

            world.api.fault = fail  # type: ignore[assignment]
            ended = roll_out_pair(B, site, quick(**FAST))
            where = f"not ready from request {number}"
            assert world.broken == [], where
            (serves,) = world.route()
            assert world.pairs() == {serves}, where
            assert ended.serving is not None
            assert ended.serving.pair_id == serves, where
            outcomes.append(ended.stage)
    # Once the earlier pair's removal has begun nothing can be done any more, and not before.
    retired = outcomes.index("done")
    assert outcomes == ["returned"] * retired + ["done"] * (len(outcomes) - retired)
    assert retired > len(outcomes) - 25


def test_a_first_roll_out_that_goes_wrong_leaves_a_whole_pair_or_nothing() -> None:
    for fault in (Fault(403), Fault(0, after=True), Fault(409)):
        number, reached = 0, True
        while reached:
            number += 1
            world = World()
            world.api.schemas = False
            with world.site() as site:
                world.api.fault = at(number, world, fault)
                with contextlib.suppress(RolloutError):
                    roll_out_pair(A, site, quick(**FAST))
                reached = len(world.api.asked) >= number
                ended = rerun(world, site, A)
            where = f"{fault} at request {number}"
            assert [what for what in world.broken if "no route any more" not in what] == [], where
            if ended is None or ended.stage == "returned":
                assert (world.route(), world.pairs()) == ({}, set()), where
            else:
                assert (world.route(), world.pairs()) == ({A.pair_id: 100}, {A.pair_id}), where
