"""Roll-outs through the Kubernetes API: every stage, every reason to go back, and who may be at it at once."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from covidctnet.errors import ClusterOutageError, ClusterRefusedError, RolloutConflictError, RolloutError
from covidctnet.rollout.machine import Rollout
from integrations.rollout.deploy import Plan, plan, roll_out_pair
from integrations.rollout.driver import Site
from tests.helpers import crds
from tests.helpers.kubernetes_objects import Asked, Fault
from tests.helpers.rollout_world import A, B, Behaviour, C, World, quick, reconnected


@pytest.fixture
def world() -> World:
    made = World()
    made.api.schemas = crds.CRDS.is_dir()
    return made


@pytest.fixture
def site(world: World) -> Iterator[Site]:
    with world.site() as made:
        yield made


@pytest.fixture
def serving(world: World, site: Site) -> Site:
    """A site where A serves."""
    ended = roll_out_pair(A, site, quick())
    assert (ended.stage, world.route()) == ("done", {A.pair_id: 100})
    return site


def stages(seen: list[Rollout]) -> list[str]:
    found: list[str] = []
    for rollout in seen:
        if not found or found[-1] != rollout.stage:
            found.append(rollout.stage)
    return found


def test_the_first_pair_is_rolled_out_at_once_and_again_changes_nothing(world: World, serving: Site) -> None:
    assert world.pairs() == {A.pair_id}
    writes = [asked for asked in world.api.asked if asked.verb not in {"get", "list", "watch"}]
    ended = roll_out_pair(A, serving, quick())
    assert (ended.stage, ended.candidate) == ("done", A)
    changed = [asked for asked in world.api.asked if asked.verb not in {"get", "list", "watch"}][len(writes) :]
    assert {asked.resource for asked in changed} == {"configmaps"}
    assert world.broken == []


def test_a_pair_goes_through_all_stages_and_no_request_is_lost_or_answered_by_a_shadow(
    world: World, serving: Site
) -> None:
    seen: list[Rollout] = []
    shadowed: list[int] = []

    def look(rollout: Rollout, figures: object) -> None:
        seen.append(rollout)
        if rollout.stage == "shadow":
            shadowed.append(world.served[B.pair_id])

    ended = roll_out_pair(B, serving, quick(), on_change=look)
    assert stages(seen) == ["prepare", "shadow", "canary", "full", "retire", "done"]
    assert ended.candidate == B
    assert set(shadowed) == {0}
    assert world.lines[f"covidctnet-{B.pair_id}-transformer-0"]
    assert world.route() == {B.pair_id: 100}
    assert world.mirror() is None
    assert world.pairs() == {B.pair_id}
    assert world.served["nobody"] == 0
    assert world.served[A.pair_id] > 0
    assert world.served[B.pair_id] > 0
    assert world.broken == []


REASONS = [
    (Behaviour(label="CAP"), {}, "shadow", "answered differently"),
    (Behaviour(status=422), {}, "shadow", "answered differently"),
    (Behaviour(status=503), {}, "shadow", "requests failed"),
    (Behaviour(status=429), {"shadow": None}, "canary", "requests failed"),
    (Behaviour(status=500), {"shadow": None, "canary": []}, "full", "requests failed"),
    (Behaviour(seconds=11.0), {}, "shadow", "95 % of the answers"),
    (Behaviour(seconds=3.0), {"shadow": None}, "canary", "times the 1.0 s of the stable pair"),
    (Behaviour(speaks_as="f" * 16), {}, "shadow", "answered as pair ffff"),
    (Behaviour(logs_answers=False), {}, "shadow", "not enough evidence"),
]


@pytest.mark.parametrize(("behaviour", "changes", "stage", "says"), REASONS)
def test_a_pair_that_passes_a_bound_is_returned_from_its_stage(
    world: World, serving: Site, behaviour: Behaviour, changes: dict[str, object], stage: str, says: str
) -> None:
    world.behaviour[B.pair_id] = behaviour
    seen: list[Rollout] = []
    ended = roll_out_pair(B, serving, quick(**changes), on_change=lambda rollout, _: seen.append(rollout))
    assert stages(seen)[-3:] == [stage, "return", "returned"]
    assert says in ended.reasons[0]
    require_alone(world, A.pair_id)
    with pytest.raises(RolloutError, match=r"was returned before.*--again"):
        roll_out_pair(B, serving, quick(**changes))
    del world.behaviour[B.pair_id]
    assert roll_out_pair(B, serving, quick(**changes), again=True).stage == "done"
    require_alone(world, B.pair_id)


def require_alone(world: World, pair_id: str) -> None:
    """One whole pair serves, nothing is left of another, and it never was otherwise."""
    assert world.route() == {pair_id: 100}
    assert world.mirror() is None
    assert world.pairs() == {pair_id}
    assert world.broken == []
    assert world.state()["stage"] in {"done", "returned"}


def test_a_pair_that_does_not_get_ready_is_returned_without_a_request(world: World, serving: Site) -> None:
    world.not_ready.add(B.pair_id)
    ended = roll_out_pair(B, serving, quick())
    assert ended.reasons == (f"pair {B.pair_id} was not ready within 60 s",)
    require_alone(world, A.pair_id)
    assert world.served[B.pair_id] == 0


def test_a_container_that_starts_again_ends_the_roll_out(world: World, serving: Site) -> None:
    def restart(rollout: Rollout, figures: object) -> None:
        if rollout.stage == "canary" and figures is None:
            pod = world.api.of("pods")[f"covidctnet-{B.pair_id}-predictor-0"]
            pod["status"]["containerStatuses"][0]["restartCount"] = 1

    ended = roll_out_pair(B, serving, quick(), on_change=restart)
    assert ended.reasons == ("1 containers started again, 0 may",)
    require_alone(world, A.pair_id)


def test_a_quiet_night_is_no_evidence_for_a_first_roll_out_and_against_a_second(world: World, site: Site) -> None:
    world.per_second = 0
    assert roll_out_pair(A, site, quick()).stage == "done"
    ended = roll_out_pair(B, site, quick())
    assert "not enough evidence: 0 requests that both pairs answered" in ended.reasons[0]
    require_alone(world, A.pair_id)


def test_the_way_back_is_direct_and_a_wish_for_the_earlier_pair_ends_a_roll_out(world: World, serving: Site) -> None:
    seen: list[Rollout] = []
    assert roll_out_pair(B, serving, quick(), at_once=True, on_change=lambda r, _: seen.append(r)).stage == "done"
    assert stages(seen) == ["prepare", "full", "retire", "done"]
    other = reconnected(serving, world)

    def want_back(rollout: Rollout, figures: object) -> None:
        if rollout.stage == "canary":
            back = roll_out_pair(B, other, quick())
            assert (back.stage, back.reasons) == ("returned", (f"pair {B.pair_id} is wanted again",))

    with pytest.raises(RolloutConflictError, match="took this roll-out over"):
        roll_out_pair(C, serving, quick(), on_change=want_back)
    require_alone(world, B.pair_id)


def test_of_two_processes_one_is_told(world: World, serving: Site) -> None:
    other = reconnected(serving, world)
    told = []

    def try_as_well(rollout: Rollout, figures: object) -> None:
        if rollout.stage == "shadow" and figures is None and not told:
            patient = replace(other, clock=replace(other.clock, sleep=lambda seconds: renew()))
            with pytest.raises(RolloutConflictError, match="another process is at a roll-out"):
                roll_out_pair(B, patient, quick())
            told.append(True)

    def renew() -> None:
        item = world.api.of("configmaps")["covidctnet-rollout"]
        data = item["data"] | {"renewed": str(float(item["data"]["renewed"]) + 1)}
        world.api.objects["configmaps", "covidctnet-rollout"] = {**item, "data": data}

    assert roll_out_pair(B, serving, quick(), on_change=try_as_well).stage == "done"
    assert told == [True]


@pytest.mark.parametrize("number", range(2, 6))
def test_another_version_first_ends_what_a_killed_process_began(world: World, serving: Site, number: int) -> None:
    stop_at(world, "httproutes", "patch", number)
    with pytest.raises(ClusterOutageError):
        roll_out_pair(B, serving, quick())
    world.api.fault = lambda asked: None
    stage = world.state()["stage"]
    assert stage == ("shadow", "canary", "full", "retire")[number - 2]
    seen: list[Rollout] = []
    ended = roll_out_pair(C, reconnected(serving, world), quick(), on_change=lambda rollout, _: seen.append(rollout))
    assert stages(seen)[:3] == (
        ["return", "returned", "prepare"] if stage != "retire" else ["retire", "done", "prepare"]
    )
    assert (ended.stage, ended.candidate, ended.stable) == ("done", C, B if stage == "retire" else A)
    require_alone(world, C.pair_id)


@pytest.mark.parametrize("step", [("httproutes", "patch"), ("pods", "list")])
def test_another_version_does_not_take_the_first_pair_away_before_it_is_ready(
    world: World, site: Site, step: tuple[str, str]
) -> None:
    stop_at(world, *step, 1)
    with pytest.raises(ClusterOutageError):
        roll_out_pair(A, site, quick())
    world.api.fault = lambda asked: None
    assert world.state()["stage"] == "full"
    assert roll_out_pair(B, reconnected(site, world), quick()).stable == A
    require_alone(world, B.pair_id)


def stop_at(world: World, resource: str, verb: str, number: int) -> None:
    """Let the API be away from the n-th such request on."""
    left = [number]

    def fault(asked: Asked) -> Fault | None:
        left[0] -= (asked.resource, asked.verb) == (resource, verb)
        return Fault(503) if left[0] <= 0 else None

    world.api.fault = fault


def test_a_route_that_others_change_is_read_again_and_given_up_after_a_while(world: World, serving: Site) -> None:
    def touch(times: int) -> Callable[[Asked], None]:
        left = [times]

        def fault(asked: Asked) -> None:
            if (asked.resource, asked.verb) == ("httproutes", "patch") and left[0]:
                left[0] -= 1
                item = world.api.of("httproutes")["covidctnet"]
                annotations = {"touched": str(left[0])}
                world.api.store("httproutes", {**item, "metadata": item["metadata"] | {"annotations": annotations}})

        return fault

    world.api.fault = touch(2)  # type: ignore[assignment]
    assert roll_out_pair(B, serving, quick()).stage == "done"
    require_alone(world, B.pair_id)
    world.api.fault = touch(5)  # type: ignore[assignment]
    with pytest.raises(RolloutConflictError, match="keeps changing HTTPRoute covidctnet"):
        roll_out_pair(C, serving, quick())
    assert roll_out_pair(C, reconnected(serving, world), quick()).stage == "done"


def test_a_lost_state_is_taken_from_the_route_and_a_damaged_one_is_told(world: World, serving: Site) -> None:
    world.api.remove("configmaps", "covidctnet-rollout")
    ended = roll_out_pair(B, serving, quick())
    assert ended.stable == A
    require_alone(world, B.pair_id)
    item = world.api.of("configmaps")["covidctnet-rollout"]
    world.api.store("configmaps", {**item, "data": {"rollout.json": '{"stage": "half"}'}})
    with pytest.raises(RolloutError, match="state of the roll-out refused"):
        roll_out_pair(B, serving, quick())


def test_refusals_of_the_api_are_told_and_lead_back(world: World, serving: Site) -> None:
    world.api.fault = lambda asked: Fault(403) if asked.resource == "servingruntimes" else None
    with pytest.raises(ClusterRefusedError, match="servingruntimes"):
        # Going back looks at the runtimes as well.
        roll_out_pair(B, serving, quick())
    world.api.fault = lambda asked: None
    assert world.route() == {A.pair_id: 100}
    ended = roll_out_pair(B, reconnected(serving, world), quick())
    assert ended.stage == "returned"
    assert "403" in ended.reasons[0]
    require_alone(world, A.pair_id)


def test_a_dry_run_shows_manifests_and_difference_and_changes_nothing(world: World, serving: Site) -> None:
    before = json.dumps(list(world.api.objects.items()), sort_keys=True)
    made: Plan = plan(B, serving)
    assert json.dumps(list(world.api.objects.items()), sort_keys=True) == before
    names = {(item["kind"], item["metadata"]["name"]) for item in made.manifests}
    assert ("InferenceService", f"covidctnet-{B.pair_id}") in names
    assert ("HTTPRoute", "covidctnet") in names
    assert f"+    - name: covidctnet-{B.pair_id}-transformer" in made.difference
    assert f"-    - name: covidctnet-{A.pair_id}-transformer" in made.difference
    assert f"--- InferenceService/covidctnet-{A.pair_id} (removed in the end)" in made.difference
    assert "resourceVersion" not in made.difference
    assert plan(A, serving).difference == ""
