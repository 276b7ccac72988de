"""The absolute rules: what a candidate must show whatever the champion does."""

from covidctnet.bundle import patient_key
from covidctnet.promotion.decision import LACKING, RuleResult
from covidctnet.promotion.policy import Minimum, Policy
from covidctnet.promotion.readings import Readings
from covidctnet.promotion.reports import ModelReport
from covidctnet.promotion.statistics import exact_interval


def check_integrity(report: ModelReport, role: str) -> RuleResult:
    """The bundle is what its manifest says, and it gave every answer."""
    reason = f"bundle {report.pair_id} agrees with its manifest and gave every answer"
    if not report.intact:
        reason = f"bundle {report.pair_id} was damaged, changed, or did not give every answer itself"
    return RuleResult(rule=f"{role} integrity", verdict="passed" if report.intact else "failed", reason=reason)


def check_training_patients(report: ModelReport, role: str) -> RuleResult:
    """No hold-out patient trained the model."""
    rule, limit, tested = f"{role} training patients", 0.0, "number of hold-out patients known to the model"
    if not report.trained_on:
        reason = f"bundle {report.pair_id} does not say which patients trained it; train it again with this release"
        return RuleResult(rule=rule, verdict=LACKING, limit=limit, tested=tested, reason=reason)
    if not report.cases:
        return RuleResult(rule=rule, verdict=LACKING, limit=limit, tested=tested, reason="no case was answered")
    known = set(report.trained_on)
    shared = len({case.patient for case in report.cases if patient_key(case.patient) in known})
    reason = f"{shared} hold-out patients trained bundle {report.pair_id}"
    return RuleResult(
        rule=rule,
        verdict="failed" if shared else "passed",
        value=float(shared),
        limit=limit,
        tested=tested,
        reason=reason,
    )


def check_validation(report: ModelReport) -> RuleResult:
    """The training data passed their validation."""
    found = report.validation
    if found is None:
        reason = f"no validation verdict of data version {report.data_version} was handed over"
        return RuleResult(rule="validation", verdict=LACKING, reason=reason)
    if found.passed and not found.failures:
        return RuleResult(rule="validation", verdict="passed", reason=f"data version {report.data_version} passed")
    failures = "; ".join(found.failures[:3]) or "no failure is named"
    return RuleResult(
        rule="validation", verdict="failed", reason=f"data version {report.data_version} did not pass: {failures}"
    )


def check_metadata(report: ModelReport, policy: Policy) -> RuleResult:
    """Scanner metadata alone do not tell the class."""
    limit = policy.absolute.max_metadata_auc
    if report.metadata_auc is None:
        return RuleResult(
            rule="metadata-only AUC",
            verdict=LACKING,
            limit=limit,
            tested="point, at most",
            reason="it was not measured",
        )
    return check_at_most(
        "metadata-only AUC",
        report.metadata_auc,
        limit,
        "scanner metadata alone reach a macro AUC of {value:.3f}; above {limit:g} label and scanner are confounded",
    )


def check_holdout_use(report: ModelReport, policy: Policy) -> RuleResult:
    """The hold-out has not judged too many candidates yet."""
    return check_at_most(
        "hold-out use",
        float(report.holdout_candidates),
        float(policy.holdout.max_candidates),
        f"hold-out version {report.holdout_version} has judged {{value:.0f}} candidates, in {report.holdout_uses} "
        "evaluations; beyond {limit:.0f} a good result may be chance, and a fresh hold-out is needed",
    )


def check_at_most(rule: str, value: float, limit: float, sentence: str) -> RuleResult:
    """A value that must not be above its limit; the sentence has the places `value` and `limit`."""
    return RuleResult(
        rule=rule,
        verdict="passed" if value <= limit else "failed",
        value=value,
        limit=limit,
        tested="point, at most",
        reason=sentence.format(value=value, limit=limit),
    )


def check_patients(readings: Readings, policy: Policy) -> RuleResult:
    """There are enough patients for any verdict."""
    (_, covid), (_, others) = readings.hits(covid=True), readings.hits(covid=False)
    need = policy.enough
    enough = covid >= need.covid_patients and others >= need.other_patients
    return RuleResult(
        rule="patients",
        verdict="passed" if enough else LACKING,
        value=float(covid + others),
        limit=float(need.covid_patients + need.other_patients),
        tested="number, at least, on both sides",
        reason=f"the hold-out has {covid} patients with Covid-19 and {others} without; "
        f"{need.covid_patients} and {need.other_patients} are needed",
    )


def check_share(rule: str, readings: Readings, minimum: Minimum, policy: Policy, *, covid: bool) -> RuleResult:
    """Sensitivity or specificity for Covid-19 with its exact interval."""
    hits, total = readings.hits(covid=covid)
    need = policy.enough.covid_patients if covid else policy.enough.other_patients
    tested = f"{minimum.tested}, at least"
    if total < need:
        reason = f"{total} patients are too few, {need} are needed"
        return RuleResult(rule=rule, verdict=LACKING, limit=minimum.minimum, tested=tested, reason=reason)
    interval = exact_interval(hits, total, policy.confidence)
    compared = interval.low if minimum.tested == "lower bound" else hits / total
    return RuleResult(
        rule=rule,
        verdict="passed" if compared >= minimum.minimum else "failed",
        value=hits / total,
        low=interval.low,
        high=interval.high,
        limit=minimum.minimum,
        tested=tested,
        reason=f"{hits} of {total} patients, exact {policy.confidence:.0%} interval {interval.low:.3f} to "
        f"{interval.high:.3f}; the {minimum.tested} is {compared:.3f} and must be at least {minimum.minimum:g}",
    )


def check_answers(readings: Readings, policy: Policy) -> list[RuleResult]:
    """All rules about the candidate's answers."""
    absolute = policy.absolute
    return [
        check_patients(readings, policy),
        check_at_most(
            "unanswered",
            readings.unanswered,
            absolute.max_unanswered,
            "{value:.1%} of the cases get no class; at most {limit:.1%} may",
        ),
        check_share("sensitivity", readings, absolute.sensitivity, policy, covid=True),
        check_share("specificity", readings, absolute.specificity, policy, covid=False),
        check_at_most(
            "Brier score",
            float(readings.brier.mean()),
            absolute.max_brier,
            "{value:.3f} (0 best, 2 worst) and must be at most {limit:g}",
        ),
    ]
