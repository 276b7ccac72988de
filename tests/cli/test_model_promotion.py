"""`covidctnet model` as its users run it: compare, promote, history, rollback."""

import json
import sqlite3
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from covidctnet.bundle import load_bundle
from integrations.registry import register_bundle
from integrations.tracking_client import TrackingSettings
from tests.cli.test_commands import call, refused
from tests.covidctnet.promotion.test_moves import write_decision
from tests.helpers.bundles import untrained_bundle
from tests.helpers.contest import write_cohort, write_model
from tests.helpers.promotion import make_policy, make_report

POLICY = make_policy(bootstrap_samples=100, non_inferiority__groups=())


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with keys, and the policy in force as a file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("COVIDCTNET_PROMOTION_POLICY", "policy.yaml")
    for name in ("MLFLOW_TRACKING_URI", "COVIDCTNET_PROMOTION_LOG", "COVIDCTNET_PROMOTION_HEADS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "policy.yaml").write_text(json.dumps(asdict(POLICY)))
    assert call("model", "key").returncode == 0
    return tmp_path


def aliases(*arguments: object) -> dict[str, Any]:
    result = call("model", *arguments, "--json")
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_promote_history_and_rollback(desk: Path) -> None:
    first = write_decision(desk / "first", make_report("v1"), None)
    second = write_decision(desk / "second", make_report("v2"), make_report("v1"))
    assert aliases("promote", first, "--why", "start", "--who", "ada")["champion"] == "v1"
    assert aliases("promote", second, "--why", "site C", "--challenger")["challenger"] == "v2"
    between = json.loads(call("model", "history", "--json").stdout)["moves"][1]["at"]
    assert aliases("promote", second, "--why", "site C") == {"champion": "v2", "challenger": None, "previous": "v1"}
    assert aliases("rollback", "--why", "alarm")["champion"] == "v1"
    moves = json.loads(call("model", "history", "--json").stdout)["moves"]
    assert [(move["action"], move["model"]) for move in moves] == [
        ("promote", "v1"), ("challenge", "v2"), ("promote", "v2"), ("rollback", "v1"),
    ]  # fmt: skip
    assert moves[0]["who"] == "ada"
    lines = [json.loads(line) for line in call("model", "history", "--lines").stdout.splitlines()]
    assert [line["previous"] for line in lines] == ["0" * 64, *(line["hash"] for line in lines[:-1])]
    assert aliases("history", "--at", "2020-01-01T00:00Z")["champion"] is None
    assert aliases("history", "--at", between)["champion"] == "v1"
    shown = call("model", "aliases")
    assert "champion" in shown.stdout
    assert "v1" in shown.stdout


@pytest.mark.slow
def test_history_says_the_registered_version_and_does_without_a_registry_that_is_away(desk: Path) -> None:
    settings = TrackingSettings.embedded(desk)
    bundle = write_model(desk / "one", weights=b"one")
    register_bundle(write_model(desk / "other", weights=b"other"), run_key="other", settings=settings)
    register_bundle(bundle, run_key="one", settings=settings)
    pair_id = load_bundle(bundle).pair_id
    decision = write_decision(desk / "first", make_report(pair_id), None)
    assert aliases("promote", decision, "--why", "start")["champion"] == pair_id
    asked = ("history", "--at", "2100-01-01T00:00Z", "--tracking")
    found = aliases(*asked, settings.uri)
    assert (found["champion"], found["versions"]) == (pair_id, {"champion": 2, "challenger": None, "previous": None})
    away = call("model", *asked, "http://127.0.0.1:1")
    assert away.returncode == 0
    assert pair_id in away.stdout
    assert "without versions: " in away.stderr


def test_what_may_not_be_promoted_is_refused_in_one_line(desk: Path) -> None:
    worse = write_decision(desk / "worse", make_report("v1", intact=False), None)
    assert "PromotionRefusedError: the gate refused v1" in refused("model", "promote", worse, "--why", "x")
    assert "decision.json is missing" in refused("model", "promote", desk / "absent", "--why", "x")
    assert "nothing to roll back to" in refused("model", "rollback", "--why", "x")
    assert "2026-11-01T10:00Z" in refused("model", "history", "--at", "noon")
    good = write_decision(desk / "good", make_report("v1"), None)
    assert "compare again with the policy" in refused("model", "promote", good, "--why", "x", "--policy", "demo")
    assert call("model", "promote", good).returncode == 2


def test_a_cut_log_is_noticed_by_every_command(desk: Path) -> None:
    call("model", "promote", write_decision(desk / "first", make_report("v1"), None), "--why", "start")
    database = sqlite3.connect(desk / "promotion" / "log.db")
    database.execute("DELETE FROM lines")
    database.commit()
    database.close()
    for command in (("aliases",), ("rollback", "--why", "x")):
        assert "LogTamperedError: the promotion log was cut off" in refused("model", *command)


@pytest.mark.slow
def test_compare_runs_both_networks_and_refuses_with_every_rule(
    desk: Path,
) -> None:
    """Untrained networks: the whole way through real TensorFlow bundles, and a reasoned refusal at its end."""
    write_cohort(desk / "cohort")
    bundles = [untrained_bundle(desk / name, seed=seed).folder for seed, name in enumerate(("one", "two"))]
    places = ("--cohort", "cohort", "--ledger", "cohort/splits.csv")
    result = call("model", "compare", *bundles, *places, "--policy", "demo", "--json")
    assert result.returncode == 3, result.stderr
    decision = json.loads(result.stdout)
    assert decision["promote"] is False
    verdicts = {rule["rule"]: rule["verdict"] for rule in decision["rules"] if not rule["group"]}
    assert verdicts["candidate integrity"] == verdicts["same hold-out"] == "passed"
    assert verdicts["candidate training patients"] == verdicts["validation"] == "not enough evidence"
    assert json.loads((desk / "decision" / "decision.json").read_text()) == decision
    assert (desk / "decision" / "decision.html").stat().st_size > 5000
    assert len((desk / "cohort" / "holdout-uses.jsonl").read_text().splitlines()) == 1
    for line in decision["reasons"]:
        assert str(desk) not in line
    assert call("model", "compare", bundles[0], "--cohort", "c", "--ledger", "l").returncode == 2


def test_compare_says_which_policy_it_does_not_know(desk: Path) -> None:
    line = refused("model", "compare", "a", "--first", "--cohort", "c", "--ledger", "l", "--policy", "lax")
    assert "no promotion policy 'lax'; use one of default, demo" in line
