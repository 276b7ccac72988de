"""The gate's deciding statistic against a plain reference: cases repeated one by one, metrics of scikit-learn."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from covidctnet.labels import COVID
from covidctnet.promotion.policy import Metric
from covidctnet.promotion.readings import Readings, paired_differences
from covidctnet.promotion.reports import CaseResult
from tests.helpers.promotion import make_case, make_policy

METRICS: tuple[Metric, ...] = ("sensitivity", "specificity", "covid_auc", "brier")
POLICY = make_policy(bootstrap_samples=300, seed=5)


def make_cases(seed: int, *, patients: int = 24, scans: int = 2) -> list[CaseResult]:
    """Answers of a model: mostly right, with `scans` cases of every other patient."""
    rng = np.random.default_rng(seed)
    cases = []
    for patient in range(patients):
        for _ in range(scans if patient % 2 else 1):
            label = patient % 3
            score = float(np.clip(rng.normal(0.7 if label == COVID else 0.3, 0.25), 0.0, 1.0))
            number = len(cases)
            cases.append(
                make_case(number, label=label, positive=score > 0.5, covid_score=score, patient=f"p{patient:03d}")
            )
    return cases


def plain_metric(metric: Metric, cases: Sequence[CaseResult]) -> float:
    """A metric from its definition, over a list of cases that may hold a case several times."""
    truth = np.array([case.label for case in cases])
    probabilities = np.array([case.probabilities for case in cases])
    if metric == "brier":
        return -float(brier_score_loss(truth, probabilities, labels=[0, 1, 2], scale_by_half=False))
    if metric == "covid_auc":
        return float(roc_auc_score(truth == COVID, probabilities[:, COVID]))
    wanted = metric == "sensitivity"
    whole: dict[str, list[bool]] = {}
    for case in cases:
        if (case.label == COVID) is wanted:
            whole.setdefault(case.patient, []).append(case.covid_positive is wanted)
    return float(np.mean([all(right) for right in whole.values()]))


def reference(candidate: Sequence[CaseResult], champion: Sequence[CaseResult]) -> dict[Metric, tuple[float, float]]:
    """Percentiles of the differences over the same draws of patients, within each class."""
    patients = sorted({case.patient for case in candidate})
    label_of = {case.patient: case.label for case in candidate}
    strata = [[name for name in patients if label_of[name] == label] for label in range(3)]
    rng = np.random.default_rng(POLICY.seed)
    draws = [
        rng.multinomial(len(names), [1 / len(names)] * len(names), size=POLICY.bootstrap_samples) for names in strata
    ]
    differences: dict[Metric, list[float]] = {metric: [] for metric in METRICS}
    for sample in range(POLICY.bootstrap_samples):
        drawn: list[tuple[str, str]] = []
        for names, counts in zip(strata, draws, strict=True):
            for name, count in zip(names, counts[sample], strict=True):
                # A patient who is drawn twice is two patients.
                drawn += [(name, f"{name} again {copy}") for copy in range(count)]
        pairs = [
            [replace(case, patient=copy) for name, copy in drawn for case in cases if case.patient == name]
            for cases in (candidate, champion)
        ]
        for metric in METRICS:
            differences[metric].append(plain_metric(metric, pairs[0]) - plain_metric(metric, pairs[1]))
    tail = (1.0 - POLICY.confidence) / 2
    return {
        metric: (float(np.quantile(values, tail)), float(np.quantile(values, 1 - tail)))
        for metric, values in differences.items()
    }


@pytest.mark.parametrize("seeds", [(1, 2), (3, 4)])
def test_paired_differences_agree_with_a_plain_bootstrap(seeds: tuple[int, int]) -> None:
    candidate, champion = (make_cases(seed) for seed in seeds)
    found = paired_differences(Readings(candidate), Readings(champion), METRICS, POLICY)
    for metric, (low, high) in reference(candidate, champion).items():
        expected = plain_metric(metric, candidate) - plain_metric(metric, champion)
        assert found[metric].value == pytest.approx(expected, abs=1e-6)
        assert (found[metric].interval.low, found[metric].interval.high) == pytest.approx((low, high), abs=1e-6)
