"""Each rule of the gate, one by one."""

from dataclasses import replace
from typing import Any

import pytest

from covidctnet.bundle import patient_key
from covidctnet.labels import COVID
from covidctnet.promotion.decide import decide
from covidctnet.promotion.decision import Decision, RuleResult
from covidctnet.promotion.readings import Readings
from covidctnet.promotion.reports import Validation
from tests.helpers.promotion import make_case, make_policy, make_report, shuffled

POLICY = make_policy()
CANDIDATE = make_report("candidate", wrong=(1, 2, 6))
CHAMPION = make_report("champion", wrong=(1, 5, 9))


def rule(decision: Decision, name: str, group: str = "") -> RuleResult:
    (found,) = [result for result in decision.rules if (result.rule, result.group) == (name, group)]
    return found


def test_a_candidate_that_is_as_good_is_promoted() -> None:
    decision = decide(CANDIDATE, CHAMPION, POLICY)
    assert decision.promote
    assert {result.verdict for result in decision.rules if not result.group} == {"passed"}
    assert decision.reasons == (f"all {len(decision.rules)} rules hold against champion champion",)


def test_a_first_model_meets_the_absolute_rules_only_and_that_is_said() -> None:
    decision = decide(CANDIDATE, None, POLICY)
    assert decision.promote
    assert decision.champion is None
    assert "first model" in decision.reasons[0]
    assert not any(result.rule.startswith("non-inferior") for result in decision.rules)
    assert not decide(replace(CANDIDATE, intact=False), None, POLICY).promote


def test_no_candidate_is_a_refusal() -> None:
    for champion in (CHAMPION, None):
        decision = decide(None, champion, POLICY)
        assert not decision.promote
        assert "there is no report of the candidate" in decision.reasons[0]


BROKEN: list[tuple[str, str, dict[str, Any], str]] = [
    ("candidate integrity", "failed", {"intact": False}, "was damaged"),
    ("validation", "not enough evidence", {"validation": None}, "no validation verdict"),
    ("validation", "failed", {"validation": Validation(passed=False, failures=("too dark",))}, "too dark"),
    ("validation", "failed", {"validation": Validation(passed=True, failures=("odd",))}, "odd"),
    ("candidate training patients", "not enough evidence", {"trained_on": ()}, "does not say which patients"),
    ("candidate training patients", "failed", {"trained_on": (patient_key("patient-0007"),)}, "1 hold-out patients"),
    ("metadata-only AUC", "not enough evidence", {"metadata_auc": None}, "not measured"),
    ("metadata-only AUC", "failed", {"metadata_auc": 0.66}, "confounded"),
    ("hold-out use", "failed", {"holdout_candidates": 21, "holdout_uses": 30}, "has judged 21 candidates"),
    ("same hold-out", "failed", {"holdout_version": "h2"}, "candidate saw version h2"),
    ("same hold-out", "failed", {"cases": CANDIDATE.cases[:-1]}, "1 case descriptions"),
    ("sensitivity", "not enough evidence", {"cases": ()}, "no case was answered"),
]


@pytest.mark.parametrize(("name", "verdict", "changes", "reason"), BROKEN)
def test_one_rule_that_does_not_pass_refuses(name: str, verdict: str, changes: dict[str, Any], reason: str) -> None:
    decision = decide(replace(CANDIDATE, **changes), CHAMPION, POLICY)
    assert rule(decision, name).verdict == verdict
    assert reason in rule(decision, name).reason
    assert not decision.promote
    assert any(line.startswith(name) for line in decision.reasons)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("champion integrity", {"intact": False}),
        ("champion training patients", {"trained_on": (patient_key("patient-0007"),)}),
        ("champion training patients", {"trained_on": ()}),
    ],
)
def test_a_champion_that_cannot_be_compared_with_refuses(name: str, changes: dict[str, Any]) -> None:
    decision = decide(CANDIDATE, replace(CHAMPION, **changes), POLICY)
    assert rule(decision, name).verdict != "passed"
    assert not decision.promote


def test_another_description_of_a_case_is_another_holdout() -> None:
    cases = (replace(CHAMPION.cases[0], site="elsewhere"), *CHAMPION.cases[1:])
    assert rule(decide(CANDIDATE, replace(CHAMPION, cases=cases), POLICY), "same hold-out").verdict == "failed"


def test_few_patients_are_no_evidence_rather_than_a_failure() -> None:
    decision = decide(make_report(patients=30), make_report("champion", patients=30), POLICY)
    assert not decision.promote
    for name in ("patients", "sensitivity", "specificity", "non-inferior sensitivity", "non-inferior covid_auc"):
        assert rule(decision, name).verdict == "not enough evidence"
    assert "10 patients" in rule(decision, "sensitivity").reason


def test_the_bound_is_tested_where_the_policy_says_so() -> None:
    # 86 of 100: the point is above 0.8, the exact lower bound 0.7763 below.
    covid = [number for number in range(300) if number % 3 == COVID]
    report = make_report(wrong=tuple(covid[:14]))
    bound = rule(decide(report, None, POLICY), "sensitivity")
    assert (bound.value, bound.verdict) == (0.86, "failed")
    assert bound.low == pytest.approx(0.776272, abs=1e-6)
    point = make_policy(absolute__sensitivity={"minimum": 0.8, "tested": "point"})
    assert rule(decide(report, None, point), "sensitivity").verdict == "passed"
    assert "the point is 0.860" in rule(decide(report, None, point), "sensitivity").reason


def test_a_clearly_worse_candidate_fails_overall_and_by_metric() -> None:
    covid = [number for number in range(300) if number % 3 == COVID]
    decision = decide(make_report(wrong=tuple(covid[:9])), make_report("champion"), POLICY)
    found = rule(decision, "non-inferior sensitivity")
    assert found.verdict == "failed"
    assert found.value == pytest.approx(-0.09)
    assert found.low is not None
    assert found.high is not None
    assert found.low < -0.05 < found.high
    assert rule(decision, "non-inferior specificity").verdict == "passed"


def test_harm_in_one_brand_refuses_though_all_patients_together_pass() -> None:
    covid = [n for n in range(600) if n % 3 == COVID and make_case(n, label=1, positive=True).brand == "GE"]
    candidate = make_report(patients=600, wrong=tuple(covid[:7]))
    policy = make_policy(non_inferiority__margins={"sensitivity": 0.15})
    decision = decide(candidate, make_report("champion", patients=600), policy)
    assert rule(decision, "non-inferior sensitivity").verdict == "passed"
    assert rule(decision, "non-inferior sensitivity", "brand GE").verdict == "failed"
    assert rule(decision, "non-inferior sensitivity", "brand Siemens").verdict == "passed"
    assert not decision.promote
    assert decision.reasons[0].startswith("non-inferior sensitivity, brand GE")


def test_every_group_of_the_policy_gets_its_rule() -> None:
    groups = {result.group for result in decide(CANDIDATE, CHAMPION, POLICY).rules}
    assert {"brand GE", "site site-0", "sex F", "age 45-64"} <= groups


def test_a_small_group_is_noted_or_refuses_as_the_policy_says() -> None:
    rare = tuple(
        replace(case, brand="Hitachi") if case.brand == "GE" and number < 30 else case
        for number, case in enumerate(CANDIDATE.cases)
    )
    reports = replace(CANDIDATE, cases=rare), replace(CHAMPION, cases=tuple(
        replace(case, brand=other.brand) for case, other in zip(CHAMPION.cases, rare, strict=True)
    ))  # fmt: skip
    noted = decide(*reports, POLICY)
    found = rule(noted, "non-inferior sensitivity", "brand Hitachi")
    assert (found.verdict, found.required, noted.promote) == ("not enough evidence", False, True)
    strict = decide(*reports, make_policy(non_inferiority__small_groups="refuse"))
    assert not strict.promote


def test_unknown_attributes_are_a_group_of_their_own() -> None:
    def without_sex(report: Any) -> Any:
        return replace(report, cases=tuple(replace(case, sex="") for case in report.cases))

    decision = decide(without_sex(CANDIDATE), without_sex(CHAMPION), POLICY)
    assert rule(decision, "non-inferior sensitivity", "sex not recorded").verdict == "passed"


def test_a_case_without_a_class_is_wrong_on_both_sides() -> None:
    unjudged = Readings(make_report(unjudged=(0, 1)).cases)
    assert unjudged.hits(covid=True) == (99, 100)
    assert unjudged.hits(covid=False) == (199, 200)
    assert unjudged.unanswered == pytest.approx(2 / 300)
    decision = decide(make_report(unjudged=tuple(range(40))), CHAMPION, POLICY)
    assert rule(decision, "unanswered").verdict == "failed"


def test_a_refused_study_scores_worst() -> None:
    cases = list(make_report(patients=12).cases)
    perfect = Readings(cases)
    cases[1] = replace(cases[1], probabilities=None, covid_positive=None)
    refused = Readings(cases)
    assert perfect.covid_auc == 1.0
    assert refused.covid_auc == pytest.approx(3 / 4)
    assert refused.brier[1] == 2.0
    assert refused.scores[1] == 0.0
    cases[0] = replace(cases[0], probabilities=None, covid_positive=None)
    assert Readings(cases).scores[0] == 1.0


def test_a_patient_is_right_only_where_all_their_cases_are() -> None:
    cases = [
        make_case(0, label=COVID, positive=True, patient="p"),
        make_case(1, label=COVID, positive=False, patient="p"),
        make_case(2, label=COVID, positive=True, patient="q"),
        make_case(3, label=0, positive=False, patient="r"),
    ]
    assert Readings(cases).hits(covid=True) == (1, 2)
    assert Readings(cases).hits(covid=False) == (1, 1)


def test_two_scans_of_each_patient_do_not_narrow_the_exact_interval() -> None:
    once = CANDIDATE
    twice = replace(once, cases=(*once.cases, *(replace(case, case=case.case + "-2") for case in once.cases)))
    one, two = (rule(decide(report, None, POLICY), "sensitivity") for report in (once, twice))
    assert (one.low, one.high) == (two.low, two.high)


def test_delong_and_mcnemar_stand_beside_and_decide_nothing() -> None:
    decision = decide(CANDIDATE, CHAMPION, POLICY)
    assert [test.test.split(":")[0] for test in decision.beside] == ["McNemar, exact", "McNemar, exact", "DeLong"]
    assert "2 patients only the candidate has right, 2 only the champion" in decision.beside[1].detail
    assert decision.beside[2].p_value is not None
    assert replace(decision, beside=()).promote


def test_the_order_of_the_cases_changes_nothing() -> None:
    plain = decide(CANDIDATE, CHAMPION, POLICY)
    assert decide(shuffled(CANDIDATE), shuffled(CHAMPION, 1), POLICY).digest == plain.digest
