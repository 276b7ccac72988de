"""Only a whole, fresh, promoting decision by the policy in force moves an alias; a rollback needs a reason."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from covidctnet.errors import PromotionError, PromotionRefusedError
from covidctnet.promotion.aliases import Aliases, parse_time
from covidctnet.promotion.decide import decide
from covidctnet.promotion.decision import load_decision, save_decision
from covidctnet.promotion.log import PromotionLog
from covidctnet.promotion.moves import challenge, promote, rollback
from covidctnet.promotion.reports import ModelReport, save_report
from tests.covidctnet.promotion.test_log import SIGNER
from tests.helpers.promotion import MemoryLines, make_policy, make_report

POLICY = make_policy(bootstrap_samples=100, non_inferiority__groups=())
PERSON: dict[str, Any] = {"policy": POLICY, "who": "ada", "why": "new site"}


def write_decision(folder: Path, candidate: ModelReport | None, champion: ModelReport | None) -> Path:
    """What `compare_models` leaves, from reports that are made up."""
    if candidate is not None:
        save_report(candidate, folder / "candidate.json")
    if champion is not None:
        save_report(champion, folder / "champion.json")
    save_decision(decide(candidate, champion, POLICY), folder / "decision.json")
    return folder


@pytest.fixture
def log() -> PromotionLog:
    return PromotionLog(MemoryLines(), MemoryLines(), verifier=SIGNER.verifier, signer=SIGNER)


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return write_decision(tmp_path / "first", make_report("v1"), None)


@pytest.fixture
def second(tmp_path: Path) -> Path:
    return write_decision(tmp_path / "second", make_report("v2"), make_report("v1"))


def test_a_model_is_challenged_promoted_and_rolled_back(log: PromotionLog, first: Path, second: Path) -> None:
    assert promote(log, first, **PERSON).aliases == Aliases(champion="v1")
    assert challenge(log, second, **PERSON).aliases == Aliases(champion="v1", challenger="v2")
    assert promote(log, second, **PERSON).aliases == Aliases(champion="v2", previous="v1")
    assert rollback(log, who="ada", why="alarm").aliases == Aliases(champion="v1")
    moves = log.read().moves
    assert moves[2].decision == load_decision(second / "decision.json").digest
    assert moves[2].policy == f"default {POLICY.digest}"
    assert (moves[3].decision, moves[3].why) == (None, "alarm")


def test_what_was_rolled_back_returns_on_new_evidence_only(log: PromotionLog, first: Path, second: Path) -> None:
    promote(log, first, **PERSON)
    promote(log, second, **PERSON)
    rollback(log, who="ada", why="alarm")
    with pytest.raises(PromotionRefusedError, match="promoted v2 before"):
        promote(log, second, **PERSON)
    again = write_decision(second, make_report("v2", holdout_uses=2), make_report("v1", holdout_uses=2))
    assert promote(log, again, **PERSON).aliases.champion == "v2"


def test_nothing_to_roll_back_to(log: PromotionLog, first: Path) -> None:
    with pytest.raises(PromotionRefusedError, match="champion is None"):
        rollback(log, who="ada", why="alarm")
    promote(log, first, **PERSON)
    with pytest.raises(PromotionRefusedError, match="champion is v1"):
        rollback(log, who="ada", why="alarm")


@pytest.mark.parametrize("lost", ["decision.json", "candidate.json", "champion.json"])
def test_a_missing_part_never_promotes(log: PromotionLog, first: Path, second: Path, lost: str) -> None:
    promote(log, first, **PERSON)
    (second / lost).unlink()
    for move in (promote, challenge):
        with pytest.raises(PromotionRefusedError, match=f"{lost} is missing"):
            move(log, second, **PERSON)
    assert log.read().aliases == Aliases(champion="v1")


def test_a_refusal_never_promotes(log: PromotionLog, first: Path, tmp_path: Path) -> None:
    promote(log, first, **PERSON)
    worse = write_decision(tmp_path / "worse", make_report("v2", intact=False), make_report("v1"))
    for move in (promote, challenge):
        with pytest.raises(PromotionRefusedError, match="the gate refused v2: candidate integrity"):
            move(log, worse, **PERSON)
    nobody = write_decision(tmp_path / "nobody", None, make_report("v1"))
    with pytest.raises(PromotionRefusedError, match=r"candidate\.json is missing"):
        promote(log, nobody, **PERSON)


def test_a_decision_about_another_champion_or_policy_is_refused(log: PromotionLog, first: Path, tmp_path: Path) -> None:
    promote(log, first, **PERSON)
    for champion in (None, make_report("v0")):
        stale = write_decision(tmp_path / f"stale-{champion is None}", make_report("v2"), champion)
        with pytest.raises(PromotionRefusedError, match="but v1 is champion now"):
            promote(log, stale, **PERSON)
    with pytest.raises(PromotionRefusedError, match="v1 is champion already"):
        promote(log, write_decision(tmp_path / "same", make_report("v1"), make_report("v1")), **PERSON)
    fresh = write_decision(tmp_path / "fresh", make_report("v2"), make_report("v1"))
    other = replace(POLICY, confidence=0.9)
    with pytest.raises(PromotionRefusedError, match="compare again with the policy in force"):
        promote(log, fresh, policy=other, who="ada", why="new site")


FORGERIES = {
    "the flag": lambda decision: decision | {"promote": True},
    "flag and reasons": lambda decision: decision | {"promote": True, "reasons": ["all is well"]},
    "a verdict": lambda decision: decision | {"rules": [rule | {"verdict": "passed"} for rule in decision["rules"]]},
    "a lost rule": lambda decision: decision | {"rules": [r for r in decision["rules"] if r["verdict"] == "passed"]},
    "no rules": lambda decision: decision | {"rules": []},
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_a_forged_decision_never_promotes(log: PromotionLog, tmp_path: Path, forge: Any) -> None:
    folder = write_decision(tmp_path, make_report("v1", wrong=tuple(range(1, 120, 3))), None)
    path = folder / "decision.json"
    path.write_text(json.dumps(forge(json.loads(path.read_text()))))
    with pytest.raises(PromotionRefusedError):
        promote(log, folder, **PERSON)
    assert log.read().moves == ()


def test_a_forged_decision_whose_derived_values_fit_does_not_fit_the_reports(log: PromotionLog, tmp_path: Path) -> None:
    folder = write_decision(tmp_path, make_report("v1", wrong=tuple(range(1, 120, 3))), None)
    save_decision(decide(make_report("v1"), None, POLICY), folder / "decision.json")
    assert load_decision(folder / "decision.json").promote
    with pytest.raises(PromotionRefusedError, match="lead to another one"):
        promote(log, folder, **PERSON)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_decision_with_any_changed_value_never_promotes_something_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = write_decision(tmp_path_factory.mktemp("decision"), make_report("v1", patients=240), None)
    path = folder / "decision.json"
    values = json.loads(path.read_text())
    name = data.draw(st.sampled_from(sorted(values)))
    values[name] = data.draw(st.sampled_from([None, "", 0, 1, True, False, [], {}, "v2", 1.5]))
    path.write_text(json.dumps(values))
    log = PromotionLog(MemoryLines(), MemoryLines(), verifier=SIGNER.verifier, signer=SIGNER)
    try:
        promote(log, folder, **PERSON)
    except PromotionRefusedError:
        assert log.read().moves == ()
    else:
        assert log.read().aliases.champion == "v1"


@pytest.mark.parametrize("text", ["yesterday", "2026-11-01T10:00", ""])
def test_a_time_needs_a_zone(text: str) -> None:
    with pytest.raises(PromotionError, match=r"2026-11-01T10:00Z"):
        parse_time(text)
    assert parse_time("2026-11-01T10:00Z") == parse_time("2026-11-01T11:00+01:00")
