"""Reports of two models on a made-up hold-out."""

from dataclasses import asdict, replace
from typing import Any

import numpy as np

from covidctnet.errors import PromotionConflictError
from covidctnet.labels import COVID
from covidctnet.promotion.policy import Policy, load_policy, parse_policy
from covidctnet.promotion.reports import CaseResult, ModelReport, Validation

BRANDS = ("GE", "Siemens", "Philips")


def make_policy(**changes: Any) -> Policy:
    """The shipped policy with fewer resamples; `absolute__max_brier=1.0` changes a value of a part."""
    values = asdict(replace(load_policy("default"), bootstrap_samples=400))
    for name, value in changes.items():
        *parts, last = name.split("__")
        target = values
        for part in parts:
            target = target[part]
        target[last] = value
    return parse_policy(values)


def make_case(
    number: int, *, label: int, positive: bool | None, covid_score: float = -1.0, patient: str = "", brand: str = ""
) -> CaseResult:
    """One case; the probability of Covid-19 follows the read-out unless it is given."""
    score = covid_score if covid_score >= 0 else (0.9 if positive else 0.1)
    others = [index for index in range(3) if index != COVID]
    rest = label if label != COVID else others[0]
    probabilities = [0.0, 0.0, 0.0]
    probabilities[COVID] = score
    probabilities[rest] += 1.0 - score
    return CaseResult(
        case=f"case-{number:04d}",
        patient=patient or f"patient-{number:04d}",
        label=label,
        brand=brand or BRANDS[number // 3 % len(BRANDS)],
        site=f"site-{number // 3 % 2}",
        sex="F" if number // 3 % 2 else "M",
        age_band="45-64" if number // 6 % 2 else "65+",
        probabilities=(probabilities[0], probabilities[1], probabilities[2]),
        covid_positive=positive,
    )


def make_report(
    pair_id: str = "candidate",
    *,
    patients: int = 300,
    wrong: tuple[int, ...] = (),
    unjudged: tuple[int, ...] = (),
    **changes: Any,
) -> ModelReport:
    """A report over patients of the three labels in turn, whose `wrong` cases are answered wrongly."""
    cases = []
    for number in range(patients):
        label = number % 3
        right = label == COVID
        positive = None if number in unjudged else right ^ (number in wrong)
        score = 0.9 if (right ^ (number in wrong)) else 0.1
        cases.append(make_case(number, label=label, positive=positive, covid_score=score))
    report = ModelReport(
        pair_id=pair_id,
        data_version="d1",
        code_version="c1",
        intact=True,
        holdout_version="h1",
        holdout_uses=1,
        holdout_candidates=1,
        validation=Validation(passed=True),
        metadata_auc=0.5,
        trained_on=("0" * 24,),
        cases=tuple(cases),
    )
    return replace(report, **changes)


def shuffled(report: ModelReport, seed: int = 0) -> ModelReport:
    """The same report with its cases in another order."""
    order = np.random.default_rng(seed).permutation(len(report.cases))
    return replace(report, cases=tuple(report.cases[index] for index in order))


class MemoryLines:
    """Lines in a list, which a test can tamper with."""

    def __init__(self, lines: list[str] | None = None) -> None:
        self.lines = lines or []

    def read(self) -> list[str]:
        return list(self.lines)

    def append(self, number: int, line: str) -> None:
        if number < len(self.lines):
            raise PromotionConflictError(f"line {number + 1} is written already")
        assert number == len(self.lines)
        self.lines.append(line)
