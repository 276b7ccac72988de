"""Two arms on the same patients over several seeds: differences with intervals, and tests within each seed.

Two intervals answer two questions. The bootstrap draws patients again, the same for both arms and all seeds: how much
depends on who was tested? The interval over seeds is Student's on the per-seed differences, with the variance
corrected for training sets that overlap (Nadeau and Bengio, Machine Learning 2003): how much depends on split and
training?
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from covidctnet.config import EvaluationConfig
from covidctnet.errors import ExperimentError
from covidctnet.evaluation.bootstrap import Estimate, Floats, PatientBootstrap
from covidctnet.evaluation.outcomes import CaseOutcome
from covidctnet.evaluation.roc import multiclass_auc, weighted_auc
from covidctnet.experiments.answers import FoldAnswers
from covidctnet.labels import COVID
from covidctnet.promotion.statistics import (
    DeLong,
    Interval,
    McNemar,
    brier_terms,
    delong,
    mcnemar_exact,
)

METRICS = {
    "macro_auc": "AUC, macro average",
    "covid_auc": "AUC, Covid-19 or not",
    "accuracy": "Accuracy, three classes",
    "covid_accuracy": "Accuracy, Covid-19 or not",
    "brier": "Brier score (0 best, 2 worst)",
}
"""Metrics by name, in words; all but the Brier score are better where higher."""

_NO_SPREAD = 1e-12
"""Rounding alone: seeds that agree to here say nothing of how seeds differ."""

LOWER_IS_BETTER = frozenset({"brier"})


class _Arrays:
    """The calibrated answers of one fold as arrays."""

    def __init__(self, answers: FoldAnswers) -> None:
        self.outcomes: list[CaseOutcome] = answers.calibrated()
        self.labels = np.array([outcome.label for outcome in self.outcomes], np.int64)
        self.probabilities = np.array([outcome.probabilities for outcome in self.outcomes], np.float64)
        self.right = np.array([outcome.predicted == outcome.label for outcome in self.outcomes])
        self.covid = self.labels == COVID
        self.covid_right = (self.probabilities[:, COVID] >= answers.threshold) == self.covid

    def measure(self, weights: Floats) -> dict[str, Floats]:
        """Every metric for weights (sets, case), each (sets,)."""
        return {
            "macro_auc": multiclass_auc(self.labels, self.probabilities, weights)["macro"],
            "covid_auc": weighted_auc(self.covid, self.probabilities[:, COVID], weights),
            "accuracy": _mean(weights, self.right),
            "covid_accuracy": _mean(weights, self.covid_right),
            "brier": _mean(weights, brier_terms(self.labels, self.probabilities)),
        }


def _mean(weights: Floats, values: NDArray[np.generic]) -> Floats:
    totals = weights.sum(axis=1)
    means = np.full(len(weights), np.nan)
    np.divide(weights @ values.astype(np.float64), totals, out=means, where=totals > 0)
    return means


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One metric of an arm less that of the reference.

    Attributes:
        metric: name, of `METRICS`.
        arm, reference: means over the seeds.
        by_seed: differences.
        patients: mean difference with its interval over patients.
        seeds: interval over seeds; None with fewer than two, or where they all agree to the last digit.
    """

    metric: str
    arm: float | None
    reference: float | None
    by_seed: tuple[float, ...]
    patients: Estimate
    seeds: Interval | None

    @property
    def verdict(self) -> int:
        """1 where the arm is better, -1 where it is worse, by both intervals; 0 where that is not shown."""
        found = self.patients
        if found.value is None or found.low is None or found.high is None or self.seeds is None:
            return 0
        sign = -1 if self.metric in LOWER_IS_BETTER else 1
        if min(found.low, self.seeds.low) > 0:
            return sign
        return -sign if max(found.high, self.seeds.high) < 0 else 0


@dataclass(frozen=True, kw_only=True)
class SeedTests:
    """Tests of one seed, in which every patient is tested once: arm as candidate, reference as champion."""

    seed: int
    three_classes: McNemar
    covid: McNemar
    covid_auc: DeLong | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """An arm beside the reference.

    Attributes:
        arm, reference: names.
        differences: by metric, in the order of `METRICS`.
        tests: by seed.
    """

    arm: str
    reference: str
    differences: tuple[Difference, ...]
    tests: tuple[SeedTests, ...]

    def of(self, metric: str) -> Difference:
        """The difference of one metric."""
        return next(difference for difference in self.differences if difference.metric == metric)


def compare_arms(
    arm: Sequence[FoldAnswers], reference: Sequence[FoldAnswers], config: EvaluationConfig, seed: int
) -> Comparison:
    """Compare two arms that answered for the same patients with the same seeds.

    Args:
        arm: one entry a seed.
        reference: the same seeds, in the same order.
        config: bootstrap samples and confidence.
        seed: of the bootstrap.

    Raises:
        ExperimentError: the two have other seeds or patients.
    """
    pairs = list(zip(arm, reference, strict=True))
    for first, second in pairs:
        if first.seed != second.seed or [o.case for o in first.test] != [o.case for o in second.test]:
            raise ExperimentError(f"the arms {first.arm} and {second.arm} answered for other patients; run both again")
    arrays = [(_Arrays(first), _Arrays(second)) for first, second in pairs]
    values = [
        (first.measure(np.ones((1, len(first.labels)))), second.measure(np.ones((1, len(second.labels)))))
        for first, second in arrays
    ]
    samples, bootstrap = _resample(arrays, config, seed)
    everyone = np.ones(len(bootstrap.patient_of_case), bool)
    differences = []
    for metric in METRICS:
        by_seed = np.array([first[metric][0] - second[metric][0] for first, second in values])
        differences.append(
            Difference(
                metric=metric,
                arm=_finite(np.mean([first[metric][0] for first, _ in values])),
                reference=_finite(np.mean([second[metric][0] for _, second in values])),
                by_seed=tuple(float(value) for value in by_seed if np.isfinite(value)),
                patients=bootstrap.estimate(float(by_seed.mean()), samples[metric], everyone),
                seeds=interval_over_seeds(
                    by_seed,
                    tested=float(np.mean([len(first.test) for first, _ in pairs])),
                    trained=float(np.mean([first.trained for first, _ in pairs])),
                    confidence=config.confidence,
                ),
            )
        )
    return Comparison(
        arm=arm[0].arm,
        reference=reference[0].arm,
        differences=tuple(differences),
        tests=tuple(_test(first.seed, *both) for (first, _), both in zip(pairs, arrays, strict=True)),
    )


def _resample(
    arrays: Sequence[tuple[_Arrays, _Arrays]], config: EvaluationConfig, seed: int
) -> tuple[Mapping[str, Floats], PatientBootstrap]:
    """Mean differences over the seeds in every bootstrap sample; a patient has one weight in all seeds."""
    everyone = [outcome for first, _ in arrays for outcome in first.outcomes]
    ends = np.cumsum([len(first.outcomes) for first, _ in arrays])
    bootstrap = PatientBootstrap([o.patient for o in everyone], [o.label for o in everyone], config, seed)

    def statistics(weights: Floats) -> dict[str, Floats]:
        found: dict[str, list[Floats]] = {metric: [] for metric in METRICS}
        for (first, second), part in zip(arrays, np.split(weights, ends[:-1], axis=1), strict=True):
            ahead, behind = first.measure(part), second.measure(part)
            for metric in METRICS:
                found[metric].append(ahead[metric] - behind[metric])
        return {metric: _mean_of_known(np.stack(values)) for metric, values in found.items()}

    return bootstrap.resample(statistics), bootstrap


def _mean_of_known(values: Floats) -> Floats:
    """Means over the first axis without NaN: in a few samples, a seed has drawn nobody of a class."""
    known = np.isfinite(values)
    means = np.full(values.shape[1:], np.nan)
    np.divide(np.where(known, values, 0.0).sum(axis=0), known.sum(axis=0), out=means, where=known.any(axis=0))
    return means


def interval_over_seeds(differences: Floats, *, tested: float, trained: float, confidence: float) -> Interval | None:
    """Corrected resampled interval of a mean difference (Nadeau and Bengio 2003, section 3).

    Args:
        differences: one a seed.
        tested: cases in a seed's test part.
        trained: cases in a seed's training part.
        confidence: of the interval.

    Returns:
        None with fewer than two seeds, with a value that is not finite, or without any variance.
    """
    from scipy.stats import t

    count = len(differences)
    if count < 2 or not np.isfinite(differences).all():
        return None
    spread = float(np.var(differences, ddof=1))
    if np.ptp(differences) < _NO_SPREAD:
        return None
    error = float(np.sqrt((1.0 / count + tested / trained) * spread))
    reach = float(t.ppf(0.5 + confidence / 2.0, count - 1)) * error
    middle = float(np.mean(differences))
    return Interval(low=middle - reach, high=middle + reach)


def _test(seed: int, arm: _Arrays, reference: _Arrays) -> SeedTests:
    enough = min(int(arm.covid.sum()), int((~arm.covid).sum())) >= 2
    return SeedTests(
        seed=seed,
        three_classes=mcnemar_exact(arm.right, reference.right),
        covid=mcnemar_exact(arm.covid_right, reference.covid_right),
        covid_auc=delong(arm.covid, arm.probabilities[:, COVID], reference.probabilities[:, COVID]) if enough else None,
    )


def measure_answers(answers: FoldAnswers) -> dict[str, float | None]:
    """The metrics of one fold; None where a class that they need is missing."""
    arrays = _Arrays(answers)
    return {name: _finite(value[0]) for name, value in arrays.measure(np.ones((1, len(arrays.labels)))).items()}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
