"""A roll-out between two real pairs under load: the program reads what the processes themselves have logged."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from covidctnet.rollout.judgement import Figures
from covidctnet.rollout.machine import Pair, Rollout
from integrations.rollout.deploy import roll_out_pair
from integrations.rollout.driver import Site
from integrations.rollout.store import Clock
from tests.helpers.gateway import gateway
from tests.helpers.rollout_world import World, quick
from tests.helpers.serving import Process, is_ready, lay_out_version, start_predictor, start_transformer, wait_for
from tests.helpers.two_pairs import TwoPairs, load_on, make_two_pairs

pytestmark = pytest.mark.slow

POLICY = {
    "bounds": {
        "requests": 4, "error_rate": 0.0, "p95_seconds": 100, "p95_ratio": 50.0, "disagreement": 1.0, "restarts": 0,
    },
    "shadow": {"requests": 6, "seconds": 1, "patience_seconds": 300},
    "canary": [{"weight": 50, "observation": {"requests": 4, "seconds": 1, "patience_seconds": 300}}],
    "full": {"requests": 4, "seconds": 1, "patience_seconds": 300},
    "poll_seconds": 0.5,
    "hold_seconds": 60,
}  # fmt: skip


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> TwoPairs:
    return make_two_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="module")
def running(pairs: TwoPairs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Process]]:
    """A transformer with its predictor for each pair, by the name that its pod has."""
    started, transformers = [], {}
    for pair_id, bundle in pairs.bundles.items():
        folder = tmp_path_factory.mktemp(pair_id)
        (folder / "settings.yaml").write_text("telemetry: {log_answers: true}")
        predictor = start_predictor(lay_out_version(folder / "models", bundle.folder), folder / "predictor.log")
        flags = (f"--pair_id={pair_id}", f"--settings={folder / 'settings.yaml'}")
        transformer = start_transformer(bundle.folder, predictor.grpc, folder / "transformer.log", *flags)
        started += [transformer, predictor]
        transformers[f"covidctnet-{pair_id}-transformer"] = transformer
        wait_for(lambda transformer=transformer: is_ready(transformer))  # type: ignore[misc]
    yield transformers
    for process in started:
        assert process.stop() == 0


@pytest.fixture
def world(running: dict[str, Process]) -> World:
    made = World()
    made.api.schemas = False
    made.api.logs = lambda pod, since: running[pod.removesuffix("-0")].log.read_text().splitlines()
    return made


@pytest.fixture
def site(world: World) -> Iterator[Site]:
    with world.site() as made:
        yield replace(made, clock=Clock())


def as_pair(pair_id: str, version: int) -> Pair:
    return Pair(pair_id=pair_id, model_version=str(version), address=f"s3://bundles/{pair_id}")


def test_a_roll_out_and_the_way_back_fail_no_request_and_mix_no_answer(
    pairs: TwoPairs, running: dict[str, Process], world: World, site: Site
) -> None:
    a, b = pairs.ids
    assert (
        roll_out_pair(as_pair(a, 1), site, quick(full={"requests": 0, "seconds": 0, "patience_seconds": 9})).stage
        == "done"
    )
    figures: list[tuple[str, Figures]] = []
    shadowed: list[int] = []

    with (
        gateway(lambda: world.api.of("httproutes")["covidctnet"], {n: p.http for n, p in running.items()}) as address,
        load_on(address, pairs, clients=3) as load,
    ):

        def look(rollout: Rollout, seen: Figures | None) -> None:
            if seen is not None:
                figures.append((rollout.stage, seen))
            if rollout.stage in {"prepare", "shadow"}:
                shadowed.append(load.counts()[b])

        load.wait_for(a)
        assert roll_out_pair(as_pair(b, 2), site, quick(**POLICY), on_change=look).stage == "done"
        load.wait_for(b)
        assert roll_out_pair(as_pair(a, 1), site, quick(**POLICY), at_once=True).stage == "done"
        load.wait_for(a)
    load.check(pairs)
    assert set(shadowed) == {0}
    last = dict(figures)
    assert last["shadow"].joined >= 6
    assert last["shadow"].candidate.failures == 0
    assert last["canary"].stable is not None
    assert world.broken == []


def test_a_pair_that_says_other_things_stays_in_the_shadow(
    pairs: TwoPairs, running: dict[str, Process], world: World, site: Site
) -> None:
    a, b = pairs.ids
    labels = [(one["label"], other["label"]) for one, other in zip(pairs.oracles[a], pairs.oracles[b], strict=True)]
    assert all(one != other for one, other in labels), "the pairs are to differ in every answer"
    assert (
        roll_out_pair(as_pair(a, 1), site, quick(full={"requests": 0, "seconds": 0, "patience_seconds": 9})).stage
        == "done"
    )
    strict = POLICY | {"bounds": {**POLICY["bounds"], "disagreement": 0.2}}  # type: ignore[dict-item]
    time.sleep(1)
    with (
        gateway(lambda: world.api.of("httproutes")["covidctnet"], {n: p.http for n, p in running.items()}) as address,
        load_on(address, pairs) as load,
    ):
        ended = roll_out_pair(as_pair(b, 2), site, quick(**strict))
        load.wait_for(a)
    load.check(pairs)
    assert ended.stage == "returned"
    assert "mirrored requests were answered differently" in ended.reasons[0]
    assert set(load.counts()) == {a}


def test_a_transformer_refuses_another_bundle_than_it_was_told(pairs: TwoPairs, tmp_path: Path) -> None:
    a, b = pairs.ids
    with pytest.raises(AssertionError, match=f"the folder holds bundle {a}, not {b}; correct its address"):
        start_transformer(pairs.bundles[a].folder, "127.0.0.1:1", tmp_path / "log", f"--pair_id={b}")
