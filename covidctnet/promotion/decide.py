"""The gate: candidate's report, champion's report and policy -> decision. A pure function."""

from collections.abc import Sequence

from covidctnet.promotion import non_inferiority, rules
from covidctnet.promotion.decision import ABSOLUTE_RULES, LACKING, Comparison, Decision, RuleResult
from covidctnet.promotion.policy import Policy
from covidctnet.promotion.readings import Readings
from covidctnet.promotion.reports import CaseResult, ModelReport
from covidctnet.promotion.statistics import delong, mcnemar_exact

_ABOUT_ANSWERS = ("patients", "unanswered", "sensitivity", "specificity", "Brier score")
_FEWEST_FOR_DELONG = 2


def decide(candidate: ModelReport | None, champion: ModelReport | None, policy: Policy) -> Decision:
    """Judge a candidate. The same arguments give the same decision, to the bit.

    Args:
        candidate: None is a refusal.
        champion: the model in production, on the same hold-out version; None where there is none, and then only
            the absolute rules are applied and the decision says so.
        policy: every limit.
    """
    if candidate is None:
        results = [
            RuleResult(rule=name, verdict=LACKING, reason="there is no report of the candidate")
            for name in ABSOLUTE_RULES
        ]
    else:
        results = _check_candidate(candidate, policy)
    beside: list[Comparison] = []
    if champion is not None:
        results += [
            rules.check_integrity(champion, "champion"),
            rules.check_training_patients(champion, "champion"),
        ]
        same = _check_same_holdout(candidate, champion)
        results.append(same)
        if candidate is not None and same.verdict == "passed":
            pairs = _pair(candidate, champion)
            results += non_inferiority.check_overall(pairs, policy)
            results += non_inferiority.check_groups(pairs, policy)
            beside = _compare(pairs)
        else:
            results += non_inferiority.missing_overall(policy, "the two models cannot be compared")
    return Decision(
        candidate=candidate.pair_id if candidate else "",
        champion=champion.pair_id if champion else None,
        candidate_data=candidate.data_version if candidate else "",
        champion_data=champion.data_version if champion else None,
        policy=policy,
        holdout_version=candidate.holdout_version if candidate else "",
        holdout_uses=candidate.holdout_uses if candidate else 0,
        holdout_candidates=candidate.holdout_candidates if candidate else 0,
        patients=len({case.patient for case in candidate.cases}) if candidate else 0,
        cases=len(candidate.cases) if candidate else 0,
        rules=tuple(results),
        beside=tuple(beside),
    )


def _check_candidate(candidate: ModelReport, policy: Policy) -> list[RuleResult]:
    results = [
        RuleResult(rule="candidate report", verdict="passed", reason=f"of bundle {candidate.pair_id}"),
        rules.check_integrity(candidate, "candidate"),
        rules.check_validation(candidate),
        rules.check_training_patients(candidate, "candidate"),
        rules.check_metadata(candidate, policy),
        rules.check_holdout_use(candidate, policy),
    ]
    if candidate.cases:
        return results + rules.check_answers(Readings(_ordered(candidate)), policy)
    return results + [RuleResult(rule=name, verdict=LACKING, reason="no case was answered") for name in _ABOUT_ANSWERS]


def _check_same_holdout(candidate: ModelReport | None, champion: ModelReport) -> RuleResult:
    rule = "same hold-out"
    if candidate is None or not candidate.cases or not champion.cases:
        return RuleResult(rule=rule, verdict=LACKING, reason="a model answered no case")
    if candidate.holdout_version != champion.holdout_version:
        reason = f"candidate saw version {candidate.holdout_version}, champion {champion.holdout_version}"
        return RuleResult(rule=rule, verdict="failed", reason=reason)
    ours, theirs = ([case.description for case in _ordered(report)] for report in (candidate, champion))
    if ours != theirs:
        count = len(set(ours) ^ set(theirs))
        return RuleResult(rule=rule, verdict="failed", reason=f"{count} case descriptions are in one report only")
    reason = f"both models answered the same {len(ours)} cases of version {candidate.holdout_version}"
    return RuleResult(rule=rule, verdict="passed", reason=reason)


def _ordered(report: ModelReport) -> list[CaseResult]:
    return sorted(report.cases, key=lambda case: case.case)


def _pair(candidate: ModelReport, champion: ModelReport) -> list[tuple[CaseResult, CaseResult]]:
    return list(zip(_ordered(candidate), _ordered(champion), strict=True))


def _compare(pairs: Sequence[tuple[CaseResult, CaseResult]]) -> list[Comparison]:
    candidate, champion = (Readings([pair[side] for pair in pairs]) for side in (0, 1))
    found = []
    for name, covid in (("sensitivity", True), ("specificity", False)):
        about = candidate.unit_covid == covid
        if about.any():
            test = mcnemar_exact(candidate.right[about], champion.right[about])
            found.append(
                Comparison(
                    test=f"McNemar, exact: {name} by patient",
                    candidate=float(candidate.right[about].mean()),
                    champion=float(champion.right[about].mean()),
                    p_value=test.p_value,
                    detail=f"{test.gained} patients only the candidate has right, {test.lost} only the champion",
                )
            )
    if min(candidate.covid.sum(), (~candidate.covid).sum()) >= _FEWEST_FOR_DELONG:
        areas = delong(candidate.covid, candidate.scores, champion.scores)
        found.append(
            Comparison(
                test="DeLong: Covid-19 AUC by case",
                candidate=areas.candidate,
                champion=areas.champion,
                p_value=areas.p_value,
                detail=f"difference {areas.difference:+.4f}, standard error {areas.standard_error:.4f}",
            )
        )
    return found
