"""How right raters are: shares with exact intervals, averages over the classes, and the mean reader.

A rater is a reader or the model. A case without a class ("cannot be judged", or a study that was refused) is wrong
for every share that it is about: a reader had to answer it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from covidctnet.evaluation.bootstrap import Bools, Estimate, Floats, PatientBootstrap
from covidctnet.labels import COVID, LABELS
from covidctnet.promotion.statistics import exact_interval

NO_CLASS = -1
"""Stands for the class of a case that was not judged."""

TWO_CLASSES = ("covid accuracy", "covid sensitivity", "covid specificity")
THREE_CLASSES = ("accuracy", *(f"{name} {what}" for name in LABELS for what in ("sensitivity", "specificity")))
AVERAGES = ("macro sensitivity", "macro specificity", "micro sensitivity", "micro specificity")
ENDPOINTS = ("accuracy", *TWO_CLASSES)
"""What model and readers are compared by, as in the paper's Table 3."""


@dataclass(frozen=True, kw_only=True)
class RaterAnswers:
    """What one rater said of n cases.

    Attributes:
        name: pseudonym of a reader, or the model.
        classes: class indices, `NO_CLASS` where none was named, shape (n,).
        covid_right: whether the Covid-19 decision is right, shape (n,).
    """

    name: str
    classes: NDArray[np.int64]
    covid_right: Bools

    @classmethod
    def of_reader(cls, name: str, classes: NDArray[np.int64], labels: NDArray[np.int64]) -> "RaterAnswers":
        """A reader's Covid-19 decision is whether they answered Covid-19."""
        return cls(name=name, classes=classes, covid_right=(classes == COVID) == (labels == COVID))


@dataclass(frozen=True, kw_only=True)
class Share:
    """A share of cases.

    Attributes:
        about: the cases that count, shape (n,).
        right: which are right, shape (n,).
    """

    about: Bools
    right: Bools

    @property
    def value(self) -> float:
        """Right ones among those that count; NaN where none counts."""
        count = int(self.about.sum())
        return float((self.about & self.right).sum()) / count if count else float("nan")

    def estimate(self, confidence: float) -> Estimate:
        """The share with its exact interval."""
        count = int(self.about.sum())
        if not count:
            return Estimate(value=None)
        bounds = exact_interval(int((self.about & self.right).sum()), count, confidence)
        return Estimate(value=self.value, low=bounds.low, high=bounds.high, method="exact")


def shares(rater: RaterAnswers, labels: NDArray[np.int64]) -> dict[str, Share]:
    """The shares of `TWO_CLASSES` and `THREE_CLASSES` by name."""
    everyone, covid = np.ones(len(labels), bool), labels == COVID
    named = rater.classes != NO_CLASS
    found = {
        "accuracy": Share(about=everyone, right=rater.classes == labels),
        "covid accuracy": Share(about=everyone, right=rater.covid_right),
        "covid sensitivity": Share(about=covid, right=rater.covid_right),
        "covid specificity": Share(about=~covid, right=rater.covid_right),
    }
    for index, name in enumerate(LABELS):
        truth, answered = labels == index, rater.classes == index
        found[f"{name} sensitivity"] = Share(about=truth, right=answered)
        found[f"{name} specificity"] = Share(about=~truth, right=~answered & named)
    return found


def averages(found: Mapping[str, Share], weights: Floats) -> dict[str, Floats]:
    """Macro averages (mean of the classes) and micro averages (all one-or-rest decisions pooled).

    Args:
        found: from `shares`.
        weights: of the cases, shape (sets, n).

    Returns:
        The values of `AVERAGES`, shape (sets,) each, NaN where a class is missing.
    """
    result = {}
    for what in ("sensitivity", "specificity"):
        parts = [found[f"{name} {what}"] for name in LABELS]
        hits = np.stack([weights @ (part.about & part.right) for part in parts])
        totals = np.stack([weights @ part.about for part in parts]).astype(np.float64)
        ratios = np.full(hits.shape, np.nan)
        np.divide(hits, totals, out=ratios, where=totals > 0)
        result[f"macro {what}"] = ratios.mean(axis=0)
        result[f"micro {what}"] = hits.sum(axis=0) / totals.sum(axis=0)
    return result


def score(
    rater: RaterAnswers, labels: NDArray[np.int64], bootstrap: PatientBootstrap, confidence: float
) -> dict[str, Estimate]:
    """Every share with its exact interval, and the averages with intervals by resampling patients."""
    found = shares(rater, labels)
    everyone = np.ones(len(labels), bool)
    values = averages(found, np.ones((1, len(labels))))
    samples = bootstrap.resample(lambda weights: averages(found, weights))
    estimates = {name: share.estimate(confidence) for name, share in found.items()}
    for name in AVERAGES:
        estimates[name] = bootstrap.estimate(float(values[name][0]), samples[name], everyone)
    return estimates


def mean_reader(
    readers: list[RaterAnswers], labels: NDArray[np.int64], bootstrap: PatientBootstrap
) -> dict[str, Estimate]:
    """Mean of the readers for each of `TWO_CLASSES` and `THREE_CLASSES`.

    Patients are redrawn, readers are not: the interval is about these readers. It is no exact interval of pooled
    answers, because several readers err on the same hard case.
    """
    by_reader = [shares(reader, labels) for reader in readers]
    names = (*THREE_CLASSES, *TWO_CLASSES)
    about = {name: by_reader[0][name].about for name in names}
    right = {name: np.mean([found[name].right for found in by_reader], axis=0) for name in names}

    def means(weights: Floats) -> dict[str, Floats]:
        return {name: weighted_mean(weights, right[name], about[name]) for name in names}

    values, samples = means(np.ones((1, len(labels)))), bootstrap.resample(means)
    return {name: bootstrap.estimate(float(values[name][0]), samples[name], about[name]) for name in names}


def weighted_mean(weights: Floats, values: Floats, about: Bools) -> Floats:
    """Mean of values (n,) over the cases that count, for weights (sets, n): shape (sets,), NaN where none counts."""
    totals = weights[:, about].sum(axis=1)
    means = np.full(len(weights), np.nan)
    np.divide(weights[:, about] @ values[about], totals, out=means, where=totals > 0)
    return means
