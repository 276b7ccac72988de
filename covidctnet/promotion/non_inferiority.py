"""The paired rules: the candidate is not worse than the champion by more than a margin, nor in any group."""

from collections.abc import Mapping, Sequence

from covidctnet.promotion.decision import LACKING, RuleResult
from covidctnet.promotion.policy import Grouping, Metric, Policy
from covidctnet.promotion.readings import Difference, Readings, paired_differences
from covidctnet.promotion.reports import CaseResult

GROUP_WORDS: Mapping[Grouping, str] = {"brand": "brand", "site": "site", "sex": "sex", "age_band": "age"}

Pair = tuple[CaseResult, CaseResult]
"""Candidate's and champion's answer for one case."""


def check_overall(pairs: Sequence[Pair], policy: Policy) -> list[RuleResult]:
    """Non-inferiority over the whole hold-out."""
    rules, enough = policy.non_inferiority, policy.enough
    return _check(pairs, rules.margins, (enough.covid_patients, enough.other_patients), policy, group="", required=True)


def check_groups(pairs: Sequence[Pair], policy: Policy) -> list[RuleResult]:
    """Non-inferiority in each group of the hold-out that the policy names."""
    rules, results = policy.non_inferiority, []
    needed = rules.group_covid_patients, rules.group_other_patients
    required = rules.small_groups == "refuse"
    for grouping in rules.groups:
        values = sorted({getattr(candidate, grouping) for candidate, _ in pairs})
        for value in values:
            part = [pair for pair in pairs if getattr(pair[0], grouping) == value]
            group = f"{GROUP_WORDS[grouping]} {value or 'not recorded'}"
            results += _check(part, rules.group_margins, needed, policy, group=group, required=required)
    return results


def missing_overall(policy: Policy, reason: str) -> list[RuleResult]:
    """The rules of the whole hold-out where no case can be compared."""
    return [
        _lacking(metric, margin, "", required=True, reason=reason)
        for metric, margin in policy.non_inferiority.margins.items()
    ]


def _check(
    pairs: Sequence[Pair],
    margins: Mapping[Metric, float],
    needed: tuple[int, int],
    policy: Policy,
    *,
    group: str,
    required: bool,
) -> list[RuleResult]:
    candidate, champion = (Readings([pair[side] for pair in pairs]) for side in (0, 1))
    counts = candidate.hits(covid=True)[1], candidate.hits(covid=False)[1]
    measured = [metric for metric in margins if not _too_few(metric, counts, needed)]
    found = paired_differences(candidate, champion, measured, policy)
    return [
        _judge(metric, margin, found[metric], group, required=required)
        if metric in found
        else _lacking(metric, margin, group, required=required, reason=_too_few(metric, counts, needed))
        for metric, margin in margins.items()
    ]


def _too_few(metric: Metric, counts: tuple[int, int], needed: tuple[int, int]) -> str:
    sides = {"sensitivity": (True, False), "specificity": (False, True)}.get(metric, (True, True))
    words = ("with Covid-19", "without Covid-19")
    lacking = [
        f"{count} patients {word} are too few, {need} are needed"
        for count, need, word, asked in zip(counts, needed, words, sides, strict=True)
        if asked and count < need
    ]
    return "; ".join(lacking)


def _judge(metric: Metric, margin: float, found: Difference, group: str, *, required: bool) -> RuleResult:
    behind = "champion minus candidate" if metric == "brier" else "candidate minus champion"
    low, high = found.interval.low, found.interval.high
    return RuleResult(
        rule=f"non-inferior {metric}",
        group=group,
        verdict="passed" if low > -margin else "failed",
        required=required,
        value=found.value,
        low=low,
        high=high,
        limit=-margin,
        tested="lower bound, above",
        reason=f"{behind} is {found.value:+.3f}, bootstrap by patient {low:+.3f} to {high:+.3f}; the lower bound must "
        f"be above {-margin:g}",
    )


def _lacking(metric: Metric, margin: float, group: str, *, required: bool, reason: str) -> RuleResult:
    return RuleResult(
        rule=f"non-inferior {metric}",
        group=group,
        verdict=LACKING,
        required=required,
        limit=-margin,
        tested="lower bound, above",
        reason=reason,
    )
