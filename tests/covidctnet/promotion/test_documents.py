"""Policies, reports, decisions and their page: refused where wrong, the same after a round trip."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from covidctnet.errors import ConfigError, LogTamperedError, PromotionError
from covidctnet.promotion.decide import decide
from covidctnet.promotion.decision import decisions_agree, load_decision, save_decision
from covidctnet.promotion.holdout_use import count_uses, read_uses, record_use
from covidctnet.promotion.page import render_decision
from covidctnet.promotion.policy import load_policy, policy_names
from covidctnet.promotion.reports import CaseResult, load_report, save_report
from tests.helpers.promotion import make_policy, make_report

POLICY = make_policy(bootstrap_samples=100)


def test_shipped_policies_are_whole() -> None:
    assert policy_names() == ["default", "demo"]
    assert [load_policy(name).name for name in policy_names()] == policy_names()
    assert load_policy("default").digest != load_policy("demo").digest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"confidence": 1.2}, "confidence: Input should be less than 1, not 1.2"),
        ({"extra": 1}, "extra: Unexpected keyword argument, not 1"),
        ({"absolute": {}}, "absolute.sensitivity: Field required"),
        ({"name": "a b"}, "name: String should match"),
    ],
)
def test_a_wrong_policy_is_refused_by_field_and_value(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    from dataclasses import asdict

    path = tmp_path / "mine.yaml"
    values = json.loads(json.dumps(asdict(load_policy("default"))))
    path.write_text(yaml.safe_dump(values | change))
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_policy(str(path))
    path.write_text(yaml.safe_dump(values))
    assert load_policy(str(path)) == load_policy("default")


def test_a_policy_that_is_not_there_or_no_yaml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no promotion policy 'lax'; use one of default, demo"):
        load_policy("lax")
    (tmp_path / "p.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match=r"'p\.yaml' is not YAML"):
        load_policy(str(tmp_path / "p.yaml"))
    (tmp_path / "p.yaml").write_text("- 1")
    with pytest.raises(ConfigError, match="must hold a mapping, not list"):
        load_policy(str(tmp_path / "p.yaml"))


def test_reports_and_decisions_survive_a_round_trip(tmp_path: Path) -> None:
    report = make_report(unjudged=(3,))
    save_report(report, tmp_path / "report.json")
    assert load_report(tmp_path / "report.json") == report
    decision = decide(report, make_report("champion"), POLICY)
    save_decision(decision, tmp_path / "decision.json")
    assert load_decision(tmp_path / "decision.json") == decision
    assert json.loads((tmp_path / "decision.json").read_text())["promote"] is decision.promote


CASE: dict[str, Any] = {
    "case": "c", "patient": "p", "label": 1, "brand": "GE", "site": "s", "probabilities": (0.1, 0.8, 0.1),
    "covid_positive": True,
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"label": 3}, {"probabilities": (0.5, 0.1, 0.1)}, {"probabilities": (1.5, -0.5, 0.0)}, {"sex": "female"},
        {"probabilities": (float("nan"), 0.5, 0.5)}, {"age_band": "old"}, {"probabilities": None},
    ],
)  # fmt: skip
def test_a_wrong_case_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    assert CaseResult(**CASE)
    path = tmp_path / "report.json"
    save_report(make_report(patients=3), path)
    values = json.loads(path.read_text())
    values["cases"][0].update(change)
    path.write_text(json.dumps(values))
    with pytest.raises(PromotionError):
        load_report(path)


def test_a_case_twice_is_refused() -> None:
    report = make_report(patients=3)
    with pytest.raises(PromotionError, match="1 cases appear twice"):
        replace(report, cases=(*report.cases, report.cases[0]))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}'])
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(PromotionError):
        load_report(tmp_path / "report.json")


def test_decisions_agree_to_nine_digits_and_not_in_words() -> None:
    decision = decide(make_report(), None, POLICY)
    rule = next(rule for rule in decision.rules if rule.rule == "sensitivity")

    def with_rule(**changes: Any) -> Any:
        rules = tuple(replace(r, **changes) if r is rule else r for r in decision.rules)
        return replace(decision, rules=rules)

    assert rule.low is not None
    assert decisions_agree(decision, with_rule(reason="in other words", low=rule.low + 1e-13))
    assert not decisions_agree(decision, with_rule(low=rule.low + 1e-6))
    assert not decisions_agree(decision, with_rule(verdict="failed"))
    assert not decisions_agree(decision, replace(decision, rules=decision.rules[1:]))


def test_the_page_shows_every_rule_and_needs_nothing_from_outside() -> None:
    decision = decide(make_report(wrong=tuple(range(1, 60, 3))), make_report("champion"), POLICY)
    page = render_decision(decision)
    assert "The candidate is refused." in page
    for rule in decision.rules:
        assert rule.title in page
    for test in decision.beside:
        assert test.test in page
    assert decision.digest in page
    assert "<svg" in page
    assert not re.search(r"(src|href)=|url\(|@import|<script", page)
    assert "patient-00" not in page
    assert "case-00" not in page


def test_the_page_of_a_first_model_says_so() -> None:
    page = render_decision(decide(make_report(), None, POLICY))
    assert "The candidate may be promoted." in page
    assert "first model" in page
    assert "<svg" not in page


def test_names_from_reports_cannot_write_into_the_page() -> None:
    evil = tuple(replace(case, brand="<b onmouseover=x>") for case in make_report().cases)
    page = render_decision(decide(make_report(cases=evil), make_report("champion", cases=evil), POLICY))
    assert "<b onmouseover" not in page
    assert "&lt;b onmouseover" in page


def test_uses_of_a_holdout_are_counted_by_version_and_candidate(tmp_path: Path) -> None:
    path = tmp_path / "uses.jsonl"
    counts = [
        record_use(path, holdout_version=version, candidate=candidate, champion=None, why="weekly")
        for version, candidate in (("h1", "a"), ("h1", "a"), ("h2", "a"), ("h1", "b"))
    ]
    assert [(count.uses, count.candidates) for count in counts] == [(1, 1), (2, 1), (1, 1), (3, 2)]
    assert count_uses(read_uses(path), "h1") == counts[-1]
    assert [use.why for use in read_uses(path)] == ["weekly"] * 4
    assert read_uses(tmp_path / "none.jsonl") == []


def test_a_use_that_was_taken_out_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "uses.jsonl"
    for candidate in "abc":
        record_use(path, holdout_version="h1", candidate=candidate, champion="z", why="weekly")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + lines[2])
    with pytest.raises(LogTamperedError, match="line 2 of the record of hold-out use"):
        record_use(path, holdout_version="h1", candidate="d", champion="z", why="weekly")
    assert path.read_text() == lines[0] + lines[2]
