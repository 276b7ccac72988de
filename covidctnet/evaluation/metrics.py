"""Metrics of a hold-out with intervals by patient (paper, Results; CLAIM checklist)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covidctnet.config import EvaluationConfig
from covidctnet.errors import CohortError, ConfigError
from covidctnet.evaluation.bootstrap import Bools, Estimate, Floats, PatientBootstrap
from covidctnet.evaluation.outcomes import CaseOutcome
from covidctnet.evaluation.reliability import expected_calibration_error
from covidctnet.evaluation.roc import multiclass_auc, weighted_auc
from covidctnet.labels import COVID, LABELS

UNKNOWN_BRAND = "unknown"


@dataclass(frozen=True, kw_only=True)
class ClassMetrics:
    """One class against the other two: area, and rates where the most probable class is the answer."""

    auc: Estimate
    sensitivity: Estimate
    specificity: Estimate


@dataclass(frozen=True, kw_only=True)
class ThreeClassMetrics:
    """The most probable class as the answer.

    Attributes:
        accuracy: share of right answers.
        macro_auc: mean of the one-vs-rest areas.
        micro_auc: area over the pooled one-vs-rest decisions.
        per_class: by label.
        confusion: cases, rows by true and columns by answered class index.
    """

    accuracy: Estimate
    macro_auc: Estimate
    micro_auc: Estimate
    per_class: dict[str, ClassMetrics]
    confusion: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True)
class CovidMetrics:
    """Covid-19 against the rest, positive where its probability reaches the decision threshold.

    Attributes:
        accuracy, auc, sensitivity, specificity: with intervals; the area does not depend on the threshold.
        confusion: cases, rows by truth (rest, Covid-19), columns by answer (negative, positive).
    """

    accuracy: Estimate
    auc: Estimate
    sensitivity: Estimate
    specificity: Estimate
    confusion: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True)
class BrandMetrics:
    """The cases of one scanner brand; None where they lack a class that the value needs."""

    cases: int
    patients: int
    accuracy: float | None
    macro_auc: float | None
    covid_auc: float | None


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """What a hold-out says of a bundle.

    Attributes:
        cases, patients: size of the hold-out.
        patients_by_label: patients with at least one case of the label.
        threshold: Covid-19 probability from which a case is positive.
        confidence: of all intervals, 0.95 for 95 %.
        bootstrap_samples, seed: what the intervals were drawn with.
        three_class, covid: the two read-outs.
        brands: by scanner brand.
        brier: mean squared distance of probabilities and truth, summed over the classes: 0 best, 2 worst.
        expected_calibration_error: distance of confidence and accuracy, 0 to 1, ten bins; it has no
            interval because resampling biases it upwards.
    """

    cases: int
    patients: int
    patients_by_label: dict[str, int]
    threshold: float
    confidence: float
    bootstrap_samples: int
    seed: int
    three_class: ThreeClassMetrics
    covid: CovidMetrics
    brands: dict[str, BrandMetrics]
    brier: Estimate
    expected_calibration_error: float | None

    def to_dict(self) -> dict[str, Any]:
        """Values as JSON gives them back: a confusion matrix is a list of lists."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain


@dataclass(frozen=True, kw_only=True)
class _Mean:
    """Mean of a value over the cases that it is about; a share where the value is 0 or 1."""

    about: Bools
    value: Floats


class _Answers:
    """The hold-out as arrays, and every metric as a function of the cases' weights."""

    def __init__(self, outcomes: Sequence[CaseOutcome], threshold: float) -> None:
        self.labels = np.array([outcome.label for outcome in outcomes], np.int64)
        self.probabilities = np.array([outcome.probabilities for outcome in outcomes], np.float64)
        self.answers = np.array([outcome.predicted for outcome in outcomes], np.int64)
        self.covid = self.labels == COVID
        self.positive = self.probabilities[:, COVID] >= threshold
        self.everyone = np.ones(len(outcomes), bool)
        self.means = self._means()

    def _means(self) -> dict[str, _Mean]:
        def share(about: Bools, hits: Bools) -> _Mean:
            return _Mean(about=about, value=hits.astype(np.float64))

        truth = self.labels[:, None] == np.arange(len(LABELS))
        means = {
            "accuracy": share(self.everyone, self.answers == self.labels),
            "covid accuracy": share(self.everyone, self.positive == self.covid),
            "covid sensitivity": share(self.covid, self.positive),
            "covid specificity": share(~self.covid, ~self.positive),
            "brier": _Mean(about=self.everyone, value=((self.probabilities - truth) ** 2).sum(axis=1)),
        }
        for index, name in enumerate(LABELS):
            means[f"{name} sensitivity"] = share(truth[:, index], self.answers == index)
            means[f"{name} specificity"] = share(~truth[:, index], self.answers != index)
        return means

    def statistics(self, weights: Floats) -> Mapping[str, Floats]:
        """All metrics for weights (sets, n), each (sets,), NaN where not defined."""
        about = np.stack([mean.about for mean in self.means.values()], axis=1).astype(np.float64)
        value = np.stack([mean.value for mean in self.means.values()], axis=1)
        totals, sums = weights @ about, weights @ (about * value)
        ratios = np.full(totals.shape, np.nan)
        np.divide(sums, totals, out=ratios, where=totals > 0)
        found = dict(zip(self.means, ratios.T, strict=True))
        areas = multiclass_auc(self.labels, self.probabilities, weights)
        found |= {f"{name} auc": area for name, area in areas.items()}
        found["covid auc"] = weighted_auc(self.covid, self.probabilities[:, COVID], weights)
        return found


def evaluate(outcomes: Sequence[CaseOutcome], *, threshold: float, config: EvaluationConfig, seed: int) -> Metrics:
    """Measure a hold-out.

    Args:
        outcomes: one a case; several cases of one patient are allowed and are resampled together.
        threshold: the bundle's Covid-19 decision threshold, 0 to 1.
        config: bootstrap samples and confidence.
        seed: of the bootstrap; same seed, same intervals.

    Raises:
        CohortError: there is no case, or one appears twice.
        ConfigError: the threshold is outside 0 to 1.
    """
    if not outcomes:
        raise CohortError("the hold-out has no case; give it a larger share of the patients")
    names = [outcome.case for outcome in outcomes]
    if len(set(names)) < len(names):
        raise CohortError(f"{len(names) - len(set(names))} cases appear twice in the hold-out's outcomes")
    if not 0.0 <= threshold <= 1.0:
        raise ConfigError(f"a decision threshold lies between 0 and 1, not at {threshold}")
    answers = _Answers(outcomes, threshold)
    patients = [outcome.patient for outcome in outcomes]
    bootstrap = PatientBootstrap(patients, answers.labels.tolist(), config, seed)
    return Metrics(
        cases=len(outcomes),
        patients=bootstrap.patients,
        patients_by_label={
            name: len({o.patient for o in outcomes if o.label == index}) for index, name in enumerate(LABELS)
        },
        threshold=threshold,
        confidence=config.confidence,
        bootstrap_samples=config.bootstrap_samples,
        seed=seed,
        **_estimates(answers, bootstrap),
        brands=_by_brand(outcomes),
        expected_calibration_error=expected_calibration_error(outcomes),
    )


def _estimates(answers: _Answers, bootstrap: PatientBootstrap) -> dict[str, Any]:
    values = answers.statistics(np.ones((1, len(answers.labels))))
    samples = bootstrap.resample(answers.statistics)

    def estimate(name: str) -> Estimate:
        value, drawn, mean = float(values[name][0]), samples[name], answers.means.get(name)
        if mean is None:
            return bootstrap.estimate(value, drawn, answers.everyone)
        if name == "brier":
            return bootstrap.estimate(value, drawn, mean.about)
        return bootstrap.estimate_share(value, drawn, mean.about, mean.value > 0)

    per_class = {
        name: ClassMetrics(
            auc=estimate(f"{name} auc"),
            sensitivity=estimate(f"{name} sensitivity"),
            specificity=estimate(f"{name} specificity"),
        )
        for name in LABELS
    }
    three_class = ThreeClassMetrics(
        accuracy=estimate("accuracy"),
        macro_auc=estimate("macro auc"),
        micro_auc=estimate("micro auc"),
        per_class=per_class,
        confusion=_confusion(answers.labels, answers.answers, len(LABELS)),
    )
    covid = CovidMetrics(
        accuracy=estimate("covid accuracy"),
        auc=estimate("covid auc"),
        sensitivity=estimate("covid sensitivity"),
        specificity=estimate("covid specificity"),
        confusion=_confusion(answers.covid.astype(np.int64), answers.positive.astype(np.int64), 2),
    )
    return {"three_class": three_class, "covid": covid, "brier": estimate("brier")}


def _confusion(truth: NDArray[np.int64], answers: NDArray[np.int64], classes: int) -> tuple[tuple[int, ...], ...]:
    counts = np.zeros((classes, classes), int)
    np.add.at(counts, (truth, answers), 1)
    return tuple(tuple(row) for row in counts.tolist())


def _by_brand(outcomes: Sequence[CaseOutcome]) -> dict[str, BrandMetrics]:
    found = {}
    for brand in sorted({outcome.brand or UNKNOWN_BRAND for outcome in outcomes}):
        part = [outcome for outcome in outcomes if (outcome.brand or UNKNOWN_BRAND) == brand]
        # No brand-wise Covid-19 decision is reported, so any threshold serves.
        values = _Answers(part, threshold=1.0).statistics(np.ones((1, len(part))))
        accuracy, macro, covid = (
            None if np.isnan(values[name][0]) else float(values[name][0])
            for name in ("accuracy", "macro auc", "covid auc")
        )
        found[brand] = BrandMetrics(
            cases=len(part),
            patients=len({outcome.patient for outcome in part}),
            accuracy=accuracy,
            macro_auc=macro,
            covid_auc=covid,
        )
    return found
