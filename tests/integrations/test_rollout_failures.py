"""Every failure at every step of a roll-out: one whole pair serves afterwards, and a rerun brings it to an end."""

from collections.abc import Callable
from typing import Any

import pytest

from covidctnet.errors import RolloutError
from integrations.kubernetes_api import Cluster
from integrations.rollout.deploy import roll_out_pair
from integrations.rollout.driver import Site
from tests.helpers.kubernetes_api import Asked, Fault
from tests.helpers.rollout_world import A, B, World, quick, reconnected

pytestmark = pytest.mark.slow

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


def start(world: World, site: Site) -> int:
    """A serves; gives the number of requests so far."""
    world.api.schemas = False
    assert roll_out_pair(A, site, quick()).stage == "done"
    return len(world.api.asked)


def steps() -> int:
    """How many requests a roll-out without failures makes."""
    world = World()
    with world.site() as site:
        before = start(world, site)
        assert roll_out_pair(B, site, quick()).stage == "done"
        return len(world.api.asked) - before


def at(number: int, world: World, fault: Fault | None, *, always: bool = False) -> Callable[[Asked], Fault | None]:
    """Break the n-th request from now on, or all from there on."""
    first = len(world.api.asked) + number

    def choose(asked: Asked) -> Fault | None:
        count = len(world.api.asked)
        return fault if count == first or (always and count > first) else None

    return choose


def conclude(world: World, site: Site, where: str, *, kind: type[Cluster] = Cluster) -> None:
    """One whole pair serves; after a rerun, it does so alone and the roll-out has ended."""
    assert world.broken == [], where
    assert sum(world.route().values()) == 100, where
    world.api.fault = lambda asked: None
    world.sleep(5)
    try:
        roll_out_pair(B, reconnected(site, world, kind=kind), quick())
    except RolloutError as error:
        assert "was returned before" in str(error), f"{where}: {error}"
    assert world.broken == [], where
    assert world.served["nobody"] == 0, where
    state = world.state()
    assert state["stage"] in {"done", "returned"}, where
    (serving,) = world.route()
    assert serving == (B.pair_id if state["stage"] == "done" else A.pair_id), where
    assert world.pairs() == {serving}, where
    assert world.mirror() is None, where


@pytest.mark.parametrize("name", ONCE)
def test_one_request_that_goes_wrong(name: str) -> None:
    for number in range(1, steps() + 1):
        world = World()
        with world.site() as site:
            start(world, site)
            world.api.fault = at(number, world, ONCE[name])
            try:
                roll_out_pair(B, site, quick())
            except RolloutError:
                pass
            conclude(world, site, f"{name} at request {number}")


def test_an_api_that_is_away_from_some_request_on() -> None:
    for number in range(1, steps() + 1):
        world = World()
        with world.site() as site:
            start(world, site)
            world.api.fault = at(number, world, Fault(503), always=True)
            with pytest.raises(RolloutError):
                roll_out_pair(B, site, quick())
            conclude(world, site, f"outage from request {number}")


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_process_that_is_killed(moment: str) -> None:
    for number in range(1, steps() + 1):
        world = World()

        class Mortal(Cluster):
            left = number

            def _call(self, *arguments: Any, **more: Any) -> Any:
                Mortal.left -= 1
                if Mortal.left == 0 and moment == "before":
                    raise KilledError
                answer = super()._call(*arguments, **more)
                if Mortal.left == 0:
                    raise KilledError
                return answer

        with world.site() as site:
            start(world, site)
            with pytest.raises(KilledError):
                roll_out_pair(B, reconnected(site, world, kind=Mortal), quick())
            conclude(world, site, f"killed {moment} request {number}")
            assert world.state()["stage"] == "done"


def test_a_pair_that_is_not_ready_any_more() -> None:
    for number in range(1, steps() + 1):
        world = World()
        with world.site() as site:
            start(world, site)
            first = len(world.api.asked) + number
            earlier: list[bool] = []

            def fail(asked: Asked, world: World = world, first: int = first, earlier: list[bool] = earlier) -> None:
                if len(world.api.asked) == first:
                    earlier.append(world.is_ready(A.pair_id))
                    world.not_ready.add(B.pair_id)
                    world.set_ready(B.pair_id, False)

            world.api.fault = fail  # type: ignore[assignment]
            ended = roll_out_pair(B, site, quick())
            where = f"not ready from request {number}"
            assert world.broken == [], where
            # Only where the earlier pair was gone, or the roll-out over, nothing could be done any more.
            assert ended.stage == "returned" or not world.is_ready(A.pair_id), where
            if ended.stage == "returned":
                assert world.route() == {A.pair_id: 100}, where
                assert world.pairs() == {A.pair_id}, where
            else:
                assert number > steps_until_retirement(world), where


def steps_until_retirement(world: World) -> int:
    """The request with which the earlier pair's removal began."""
    removed = [index for index, asked in enumerate(world.api.asked) if asked.verb == "delete"]
    start_of_b = next(i for i, asked in enumerate(world.api.asked) if asked.name.endswith(B.pair_id))
    return removed[0] - start_of_b - 20 if removed else 0


def test_a_first_roll_out_that_is_killed_or_refused_leaves_a_pair_or_nothing() -> None:
    for number in range(1, 40):
        for fault in (Fault(403), Fault(0, after=True)):
            world = World()
            world.api.schemas = False
            with world.site() as site:
                world.api.fault = at(number, world, fault)
                try:
                    roll_out_pair(A, site, quick())
                except RolloutError:
                    pass
                world.api.fault = lambda asked: None
                try:
                    ended = roll_out_pair(A, reconnected(site, world), quick())
                except RolloutError as error:
                    assert "was returned before" in str(error)
                    assert (world.route(), world.pairs()) == ({}, set())
                else:
                    assert ended.stage in {"done", "returned"}
                    assert world.route() == ({A.pair_id: 100} if ended.stage == "done" else {})
                assert [what for what in world.broken if "no route any more" not in what] == []
