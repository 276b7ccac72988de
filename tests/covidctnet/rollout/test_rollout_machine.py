"""The states of a roll-out: whatever happens, one whole pair gets each request."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covidctnet.errors import ConfigError, RolloutError
from covidctnet.rollout.judgement import Verdict
from covidctnet.rollout.machine import (
    OBSERVED,
    Pair,
    Rollout,
    advance,
    begin,
    follow_verdict,
    go_back,
    parse_rollout,
    split_of,
)
from covidctnet.rollout.policy import RolloutPolicy, load_rollout_policy, parse_rollout_policy

OLD = Pair(pair_id="0" * 16, model_version="1", address="s3://b/0")
NEW = Pair(pair_id="1" * 16, model_version="2", address="s3://b/1")
POLICY = load_rollout_policy()


def path(rollout: Rollout) -> list[tuple[str, int]]:
    found = [(rollout.stage, rollout.step)]
    while not rollout.ended:
        rollout = advance(rollout, now=0.0)
        found.append((rollout.stage, rollout.step))
    return found


def test_the_stages_follow_the_policy() -> None:
    rollout = begin(NEW, OLD, POLICY, now=0.0, at_once=False)
    assert path(rollout) == [
        ("prepare", 0), ("shadow", 0), ("canary", 0), ("canary", 1), ("full", 0), ("retire", 0), ("done", 0),
    ]  # fmt: skip
    short = [("prepare", 0), ("full", 0), ("retire", 0), ("done", 0)]
    assert path(begin(NEW, OLD, POLICY, now=0.0, at_once=True)) == short
    assert path(begin(NEW, None, POLICY, now=0.0, at_once=False)) == short
    assert path(begin(NEW, OLD, replace(POLICY, shadow=None), now=0.0, at_once=False))[1] == ("canary", 0)


def test_requests_go_to_the_earlier_pair_alone_until_the_canary() -> None:
    splits = {}
    rollout = begin(NEW, OLD, POLICY, now=0.0, at_once=False)
    while True:
        split = split_of(rollout)
        splits[rollout.stage, rollout.step] = (split.weights, split.mirror)
        if rollout.ended:
            break
        rollout = advance(rollout, now=0.0)
    old, new = OLD.pair_id, NEW.pair_id
    assert splits == {
        ("prepare", 0): ({old: 100}, None),
        ("shadow", 0): ({old: 100}, new),
        ("canary", 0): ({old: 90, new: 10}, None),
        ("canary", 1): ({old: 50, new: 50}, None),
        ("full", 0): ({new: 100}, None),
        ("retire", 0): ({new: 100}, None),
        ("done", 0): ({new: 100}, None),
    }


VERDICTS = st.lists(
    st.sampled_from([Verdict(outcome="wait"), Verdict(outcome="go on"), Verdict(outcome="go back", reasons=("r",))]),
    max_size=20,
)


@given(VERDICTS, st.booleans(), st.booleans())
def test_any_verdicts_lead_to_states_with_one_split_that_survive_json(
    verdicts: list[Verdict], first: bool, at_once: bool
) -> None:
    rollout = begin(NEW, None if first else OLD, POLICY, now=0.0, at_once=at_once)
    for verdict in verdicts:
        before = rollout
        if rollout.ended or rollout.stage in {"retire"}:
            break
        rollout = follow_verdict(rollout, verdict, now=1.0)
        assert parse_rollout(json.loads(json.dumps(rollout.to_dict()))) == rollout
        split = split_of(rollout)
        assert sum(split.weights.values()) in ({0, 100} if first else {100})
        assert split.mirror is None or split.weights == {OLD.pair_id: 100}
        if rollout.stage in {"return", "returned"}:
            assert split_of(rollout).weights == ({} if first else {OLD.pair_id: 100})
            assert rollout.serving == (None if first else OLD)
        if rollout.stage in OBSERVED:
            assert rollout.observation.requests >= 0
        if verdict.outcome == "wait":
            assert rollout == before


def test_there_is_no_way_back_once_the_earlier_pair_is_being_removed_unless_it_is_whole() -> None:
    rollout = replace(begin(NEW, OLD, POLICY, now=0.0, at_once=True), stage="retire")
    with pytest.raises(RolloutError, match="serves alone"):
        go_back(rollout, ("r",), now=0.0)
    assert go_back(rollout, ("r",), now=0.0, intact=True).stage == "return"
    with pytest.raises(RolloutError, match="serves alone"):
        go_back(replace(rollout, stage="done"), ("r",), now=0.0, intact=True)
    returned = replace(rollout, stage="returned")
    assert go_back(returned, ("r",), now=9.0) == returned
    with pytest.raises(RolloutError, match="nothing follows stage returned"):
        advance(returned, now=0.0)
    with pytest.raises(RolloutError, match="nothing is observed in stage retire"):
        _ = rollout.observation


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"stage": "half"}, "stage"),
        ({"step": 7, "stage": "canary"}, "no step 7"),
        ({"candidate": {"pair_id": "../../x", "model_version": "1", "address": "s3://b/1"}}, "pair_id"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_state_that_no_release_wrote_is_refused(change: dict[str, Any], says: str) -> None:
    values = begin(NEW, OLD, POLICY, now=0.0, at_once=False).to_dict()
    with pytest.raises(RolloutError, match=says):
        parse_rollout(json.loads(json.dumps(values | change)))


def values_of(policy: RolloutPolicy) -> dict[str, Any]:
    return dict(begin(NEW, OLD, policy, now=0.0, at_once=False).to_dict()["policy"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"surprise": 1}, "surprise"),
        ({"poll_seconds": 0}, "poll_seconds"),
        ({"hold_seconds": 20}, "hold_seconds"),
        ({"full": {"requests": 1, "seconds": 10, "patience_seconds": 5}}, "patience_seconds"),
        ({"canary": [{"weight": 100, "observation": {"requests": 1, "seconds": 1, "patience_seconds": 5}}]}, "weight"),
        ({"canary": [{"weight": w, "observation": {"requests": 1, "seconds": 1, "patience_seconds": 5}}
                     for w in (50, 10)]}, "must rise"),
    ],
)  # fmt: skip
def test_a_wrong_policy_is_refused_with_its_field(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_rollout_policy(values_of(POLICY) | change)


def test_policies_have_a_name_a_path_and_a_digest(tmp_path: Any) -> None:
    with pytest.raises(ConfigError, match="no roll-out policy 'absent'"):
        load_rollout_policy("absent")
    (tmp_path / "mine.yaml").write_text(json.dumps(values_of(POLICY) | {"name": "mine"}))
    mine = load_rollout_policy(str(tmp_path / "mine.yaml"))
    assert (mine.name, mine.bounds) == ("mine", POLICY.bounds)
    assert mine.digest != POLICY.digest
