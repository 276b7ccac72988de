"""Properties that hold for every pair of reports, not for chosen ones."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from covidctnet.bundle import patient_key
from covidctnet.labels import COVID
from covidctnet.promotion.decide import decide
from covidctnet.promotion.decision import LACKING, Decision, RuleResult
from covidctnet.promotion.policy import Metric
from covidctnet.promotion.readings import Readings, paired_differences
from covidctnet.promotion.reports import CaseResult, ModelReport, Validation
from tests.helpers.promotion import make_case, make_policy, make_report

POLICY = make_policy(
    absolute__sensitivity={"minimum": 0.3, "tested": "lower bound"},
    absolute__specificity={"minimum": 0.3, "tested": "lower bound"},
    absolute__max_brier=1.2,
    enough={"covid_patients": 3, "other_patients": 3},
    non_inferiority__margins={"sensitivity": 0.3, "specificity": 0.3, "covid_auc": 0.3, "brier": 0.5},
    non_inferiority__group_margins={"sensitivity": 0.6, "specificity": 0.6},
    non_inferiority__group_covid_patients=3,
    non_inferiority__group_other_patients=3,
    bootstrap_samples=100,
)
METRICS: tuple[Metric, ...] = ("sensitivity", "specificity", "covid_auc", "brier")
SIZE = 24
FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])

ANSWERS = st.lists(
    st.tuples(st.sampled_from([True, True, True, False, None]), st.integers(0, 20)), min_size=SIZE, max_size=SIZE
)


def report_of(pair_id: str, answers: list[tuple[bool | None, int]]) -> ModelReport:
    """`True` in an answer is a right read-out; the number is how sure the model was of the truth."""
    cases: list[CaseResult] = []
    for number, (right, surety) in enumerate(answers):
        covid = number % 3 == COVID
        positive = None if right is None else right is covid
        score = surety / 20 if covid else 1.0 - surety / 20
        patient = f"patient-{number // 2 * 2 + (number % 3):04d}"
        cases.append(make_case(number, label=number % 3, positive=positive, covid_score=score, patient=patient))
    return make_report(pair_id, patients=3, cases=tuple(cases))


REPORTS = st.builds(report_of, st.just("candidate"), ANSWERS)
CHAMPIONS = st.builds(report_of, st.just("champion"), ANSWERS)


@FEW
@given(REPORTS, st.none() | CHAMPIONS)
def test_never_promotes_when_any_rule_fails(candidate: ModelReport, champion: ModelReport | None) -> None:
    decision = decide(candidate, champion, POLICY)
    required = [rule for rule in decision.rules if rule.required]
    failed = [rule for rule in decision.rules if rule.verdict == "failed"]
    lacking = [rule for rule in required if rule.verdict == LACKING]
    assert decision.promote == (not failed and not lacking)


GOOD = decide(make_report(wrong=(1,)), make_report("champion", wrong=(2,)), make_policy())


@FEW
@given(st.data())
def test_never_promotes_when_a_rule_is_lost_or_turned(data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(GOOD.rules) - 1))
    rule = GOOD.rules[index]
    others = GOOD.rules[:index] + GOOD.rules[index + 1 :]
    assert GOOD.promote
    turned = replace(rule, verdict=data.draw(st.sampled_from(["failed", LACKING])), required=True)
    assert not replace(GOOD, rules=(*others, turned)).promote
    if rule.rule in GOOD.expected and not rule.group:
        assert not replace(GOOD, rules=others).promote
        assert f"{rule.rule}: the rule is missing" in replace(GOOD, rules=others).reasons


@FEW
@given(st.permutations(range(len(GOOD.rules))))
def test_the_order_of_the_rules_changes_nothing(order: list[int]) -> None:
    assert replace(GOOD, rules=tuple(GOOD.rules[index] for index in order)).promote


def test_a_decision_without_rules_never_promotes() -> None:
    for champion in (None, "champion"):
        assert not replace(GOOD, rules=(), champion=champion).promote
    assert not replace(GOOD, candidate="").promote


QUICK = make_policy(bootstrap_samples=100, non_inferiority__groups=())
BREAKING = {
    "intact": st.just(False),
    "validation": st.sampled_from([None, Validation(passed=False)]),
    "metadata_auc": st.none() | st.floats(0.66, 1.0),
    "trained_on": st.sampled_from([(), (patient_key("patient-0004"), "0" * 24)]),
    "holdout_version": st.just("other"),
    "holdout_candidates": st.integers(21, 1000),
    "cases": st.sampled_from([(), make_report().cases[:9], make_report().cases[1:]]),
}


@FEW
@given(st.data())
def test_never_promotes_when_a_part_is_missing_or_wrong(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(BREAKING)), min_size=1, max_size=3, unique=True))
    broken = replace(make_report(), **{name: data.draw(BREAKING[name]) for name in names})
    assert not decide(broken, make_report("champion"), QUICK).promote
    champions = {"intact", "trained_on", "holdout_version", "cases"} & set(names)
    if champions:
        worse = replace(make_report("champion"), **{name: getattr(broken, name) for name in champions})
        assert not decide(make_report(), worse, QUICK).promote


def bound(decision: Decision, name: str) -> RuleResult:
    return next(rule for rule in decision.rules if rule.rule == name and not rule.group)


@FEW
@given(ANSWERS, ANSWERS, st.integers(0, SIZE - 1), st.booleans())
def test_better_answers_never_lower_a_metric_or_lose_a_promotion(
    ours: list[tuple[bool | None, int]], theirs: list[tuple[bool | None, int]], index: int, readout: bool
) -> None:
    right, surety = ours[index]
    assume(right is not True if readout else surety < 20)
    better = list(ours)
    better[index] = (True, surety) if readout else (right, min(20, surety + 5))
    champion = report_of("champion", theirs)
    before, after = (decide(report_of("candidate", answers), champion, POLICY) for answers in (ours, better))
    for name in ("sensitivity", "specificity", *(f"non-inferior {metric}" for metric in METRICS)):
        old, new = bound(before, name), bound(after, name)
        assert new.value is not None
        assert old.value is not None
        assert new.value >= old.value - 1e-12
        assert new.low is not None
        assert old.low is not None
        assert new.low >= old.low - 1e-12
    for name in ("Brier score", "unanswered"):
        worst, best = bound(before, name).value, bound(after, name).value
        assert worst is not None
        assert best is not None
        assert best <= worst + 1e-12
    assert not (before.promote and not after.promote)


@FEW
@given(
    REPORTS, CHAMPIONS, st.tuples(st.floats(0, 1), st.floats(0, 1)), st.tuples(st.integers(1, 40), st.integers(1, 40))
)
def test_less_confounding_and_a_fresher_holdout_never_lose_a_promotion(
    candidate: ModelReport, champion: ModelReport, areas: tuple[float, float], candidates: tuple[int, int]
) -> None:
    worse, better = (
        replace(candidate, metadata_auc=area, holdout_candidates=count, holdout_uses=count)
        for area, count in ((max(areas), max(candidates)), (min(areas), min(candidates)))
    )
    before, after = (decide(report, champion, POLICY) for report in (worse, better))
    for name in ("metadata-only AUC", "hold-out use"):
        assert not (bound(before, name).verdict == "passed" and bound(after, name).verdict == "failed")
    assert not (before.promote and not after.promote)


LIMITS = (
    ("absolute__sensitivity", lambda x: {"minimum": 1 - x, "tested": "lower bound"}),
    ("absolute__specificity", lambda x: {"minimum": 1 - x, "tested": "point"}),
    ("absolute__max_brier", lambda x: 2 * x),
    ("absolute__max_metadata_auc", lambda x: x),
    ("absolute__max_unanswered", lambda x: x),
    ("non_inferiority__margins", lambda x: dict.fromkeys(METRICS, max(x, 0.01))),
)


@FEW
@given(REPORTS, CHAMPIONS, st.sampled_from(LIMITS), st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_a_laxer_limit_never_loses_a_promotion(
    candidate: ModelReport, champion: ModelReport, limit: tuple, values: tuple[float, float]
) -> None:
    name, make = limit
    strict, lax = sorted(values)
    promoted = [
        decide(candidate, champion, make_policy(**{**FLAT, name: make(value)})).promote for value in (strict, lax)
    ]
    assert not (promoted[0] and not promoted[1])


FLAT = {
    "absolute__sensitivity": {"minimum": 0.0, "tested": "point"},
    "absolute__specificity": {"minimum": 0.0, "tested": "point"},
    "absolute__max_brier": 2.0,
    "absolute__max_unanswered": 1.0,
    "enough": {"covid_patients": 3, "other_patients": 3},
    "non_inferiority__margins": dict.fromkeys(METRICS, 1.0),
    "non_inferiority__group_margins": {},
    "bootstrap_samples": 100,
}


@FEW
@given(ANSWERS, ANSWERS)
def test_differences_turn_round_with_the_models(ours: list, theirs: list) -> None:
    first, second = (Readings(report_of("model", answers).cases) for answers in (ours, theirs))
    there = paired_differences(first, second, METRICS, POLICY)
    back = paired_differences(second, first, METRICS, POLICY)
    for metric in METRICS:
        assert there[metric].value == pytest.approx(-back[metric].value, abs=1e-12)
        assert there[metric].interval.low == pytest.approx(-back[metric].interval.high, abs=1e-12)
        assert there[metric].interval.high == pytest.approx(-back[metric].interval.low, abs=1e-12)


@FEW
@given(ANSWERS)
def test_a_model_is_never_inferior_to_itself(answers: list) -> None:
    decision = decide(report_of("same", answers), report_of("same", answers), POLICY)
    paired = [rule for rule in decision.rules if rule.rule.startswith("non-inferior") and rule.value is not None]
    assert all((rule.value, rule.low, rule.high, rule.verdict) == (0.0, 0.0, 0.0, "passed") for rule in paired)
    assert all(test.p_value == 1.0 for test in decision.beside)


@FEW
@given(ANSWERS)
def test_covid_and_rest_change_places_without_changing_the_rule(answers: list) -> None:
    """Sensitivity of a cohort is specificity of the same cohort with the two classes exchanged."""
    cases = report_of("model", answers).cases
    mirrored = [
        replace(
            case,
            label=0 if case.label == COVID else COVID,
            covid_positive=None if case.covid_positive is None else not case.covid_positive,
        )
        for case in cases
    ]
    one, two = Readings(cases), Readings(mirrored)
    assert one.hits(covid=True) == two.hits(covid=False)
    assert one.hits(covid=False) == two.hits(covid=True)


def test_the_bootstrap_covers_a_known_difference() -> None:
    """The lower bound is below the true difference in about 97.5 % of the samples: 95 of 100 draws or more here."""
    rng, policy, covered = np.random.default_rng(0), make_policy(bootstrap_samples=400), 0
    for draw in range(100):
        cases = [make_case(n, label=n % 3, positive=n % 3 == COVID) for n in range(240)]
        right = rng.random((2, 240)) < np.array([[0.85], [0.90]])
        pair = [
            Readings(
                [replace(c, covid_positive=bool(ok) == (c.label == COVID)) for c, ok in zip(cases, row, strict=True)]
            )
            for row in right
        ]
        found = paired_differences(pair[0], pair[1], ["sensitivity", "specificity"], replace(policy, seed=draw))
        covered += sum(found[metric].interval.low <= -0.05 for metric in ("sensitivity", "specificity"))
    assert covered >= 188


def test_limits_are_exact_at_their_edge() -> None:
    for passes, changes in product((True, False), ("metadata_auc", "holdout_candidates")):
        edge = {"metadata_auc": 0.65 if passes else 0.6500001, "holdout_candidates": 20 if passes else 21}
        report = replace(make_report(), **{changes: edge[changes]})
        assert decide(report, None, make_policy()).promote is passes
