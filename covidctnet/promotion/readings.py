"""A report as arrays: who was right by patient, scores and squared errors by case."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from covidctnet.config import EvaluationConfig
from covidctnet.evaluation.bootstrap import Bools, Floats, PatientBootstrap
from covidctnet.evaluation.roc import weighted_auc
from covidctnet.labels import COVID, LABELS
from covidctnet.promotion.policy import Metric, Policy
from covidctnet.promotion.reports import CaseResult
from covidctnet.promotion.statistics import Interval, brier_terms, percentile_interval


class Readings:
    """The answers of one model for some cases.

    A patient counts as right only where every case of theirs is answered, and answered right: patients are
    independent of each other, cases of one patient are not, and an exact interval needs independence. A case
    without a class is wrong for sensitivity and for specificity; a refused study has the worst score there is.

    Args:
        cases: in the order of their names, at least one.
    """

    def __init__(self, cases: Sequence[CaseResult]) -> None:
        self.labels = np.array([case.label for case in cases], np.int64)
        self.covid: Bools = self.labels == COVID
        names = [case.patient for case in cases]
        # Label and patient: one patient with cases of two labels is two units, one in each class.
        units = [(case.patient, case.label == COVID) for case in cases]
        known = {unit: number for number, unit in enumerate(dict.fromkeys(units))}
        self.patients, self.unit_of_case = names, np.array([known[unit] for unit in units])
        self.first_case = np.array([units.index(unit) for unit in known])
        right = np.array([case.covid_positive is (case.label == COVID) for case in cases])
        self.right: Bools = np.ones(len(known), bool)
        np.logical_and.at(self.right, self.unit_of_case, right)
        self.unit_covid: Bools = self.covid[self.first_case]
        answered = np.array([case.probabilities or self._worst(case.label) for case in cases], np.float64)
        refused = np.array([case.probabilities is None for case in cases])
        self.scores: Floats = np.where(refused, (~self.covid).astype(np.float64), answered[:, COVID])
        self.brier: Floats = brier_terms(self.labels, answered)
        self.unanswered = float(np.mean([case.covid_positive is None for case in cases]))

    @staticmethod
    def _worst(label: int) -> tuple[float, ...]:
        return tuple(float(index == (label + 1) % len(LABELS)) for index in range(len(LABELS)))

    def hits(self, *, covid: bool) -> tuple[int, int]:
        """Patients with (or without) Covid-19 who are right, and how many there are."""
        about = self.unit_covid == covid
        return int((self.right & about).sum()), int(about.sum())

    @cached_property
    def covid_auc(self) -> float | None:
        """Area under the ROC curve of Covid-19 against the rest; None where a side is empty."""
        value = float(weighted_auc(self.covid, self.scores, np.ones((1, len(self.scores))))[0])
        return value if np.isfinite(value) else None


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far the candidate is ahead of the champion; negative where it is behind.

    Attributes:
        value: of the hold-out itself.
        interval: bootstrapped by patient.
    """

    value: float
    interval: Interval


def paired_differences(
    candidate: Readings, champion: Readings, metrics: Sequence[Metric], policy: Policy
) -> dict[Metric, Difference]:
    """Candidate minus champion over the same cases; for the Brier score champion minus candidate.

    Patients are drawn with replacement within their class, the same ones for both models.

    Args:
        candidate: what it answered.
        champion: what it answered for the same cases, in the same order.
        metrics: those that the cases have patients for.
        policy: samples, confidence and seed.
    """
    config = EvaluationConfig(bootstrap_samples=policy.bootstrap_samples, confidence=policy.confidence)
    bootstrap = PatientBootstrap(candidate.patients, candidate.labels.tolist(), config, policy.seed)

    def measure(weights: Floats) -> dict[str, Floats]:
        return {metric: _advantage(metric, candidate, champion, weights) for metric in metrics}

    values, samples = measure(np.ones((1, len(candidate.labels)))), bootstrap.resample(measure) if metrics else {}
    return {
        metric: Difference(
            value=float(values[metric][0]), interval=percentile_interval(samples[metric], policy.confidence)
        )
        for metric in metrics
    }


def _advantage(metric: Metric, candidate: Readings, champion: Readings, weights: Floats) -> Floats:
    if metric == "brier":
        return _mean(weights, champion.brier - candidate.brier)
    if metric == "covid_auc":
        first, second = (weighted_auc(model.covid, model.scores, weights) for model in (candidate, champion))
        difference: Floats = first - second
        return difference
    about = candidate.unit_covid if metric == "sensitivity" else ~candidate.unit_covid
    gain = candidate.right.astype(np.float64) - champion.right.astype(np.float64)
    return _mean(weights[:, candidate.first_case[about]], gain[about])


def _mean(weights: Floats, values: Floats) -> Floats:
    means: NDArray[np.float64] = (weights @ values) / weights.sum(axis=1)
    return means
