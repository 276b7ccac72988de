"""The model beside the readers on the same cases: McNemar's test, and the difference from the mean reader."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from covidctnet.evaluation.bootstrap import Estimate, Floats, PatientBootstrap
from covidctnet.promotion.statistics import McNemar, mcnemar_exact
from covidctnet.readers.scores import ENDPOINTS, RaterAnswers, shares, weighted_mean


@dataclass(frozen=True, kw_only=True)
class PairedTest:
    """The model against one reader by one endpoint.

    Attributes:
        endpoint: one of `ENDPOINTS`.
        reader: pseudonym.
        test: `gained` are cases that only the model has right, `lost` those that only the reader has right.
        adjusted: p-value after Holm's correction for the number of readers.
    """

    endpoint: str
    reader: str
    test: McNemar
    adjusted: float


@dataclass(frozen=True, kw_only=True)
class MeanDifference:
    """Model minus mean reader by one endpoint.

    Attributes:
        endpoint: one of `ENDPOINTS`.
        these_readers: with patients redrawn: about these readers.
        other_readers: with patients and readers redrawn: about readers like these. With few readers it is too
            narrow, for few say little of how readers differ.
    """

    endpoint: str
    these_readers: Estimate
    other_readers: Estimate


def paired_tests(model: RaterAnswers, readers: Sequence[RaterAnswers], labels: NDArray[np.int64]) -> list[PairedTest]:
    """McNemar's exact test of the model against each reader, by endpoint; adjusted within an endpoint."""
    own, found = shares(model, labels), []
    for endpoint in ENDPOINTS:
        about = own[endpoint].about
        tests = [
            mcnemar_exact(own[endpoint].right[about], shares(reader, labels)[endpoint].right[about])
            for reader in readers
        ]
        adjusted = holm([test.p_value for test in tests])
        found += [
            PairedTest(endpoint=endpoint, reader=reader.name, test=test, adjusted=p)
            for reader, test, p in zip(readers, tests, adjusted, strict=True)
        ]
    return found


def holm(p_values: Sequence[float]) -> list[float]:
    """Step-down correction of p-values for their number (Holm, Scandinavian Journal of Statistics 1979)."""
    order = np.argsort(p_values, kind="stable")
    steps = np.array(p_values, np.float64)[order] * (len(p_values) - np.arange(len(p_values)))
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(p) for p in adjusted]


def mean_differences(
    model: RaterAnswers,
    readers: Sequence[RaterAnswers],
    labels: NDArray[np.int64],
    bootstrap: PatientBootstrap,
    seed: int,
) -> list[MeanDifference]:
    """Model minus mean reader by endpoint, with paired intervals.

    Args:
        model: answers for the cases.
        readers: answers for the same cases.
        labels: class indices, shape (n,).
        bootstrap: over the same cases.
        seed: of the draw of readers.
    """
    own = shares(model, labels)
    theirs = [shares(reader, labels) for reader in readers]
    gains = {name: np.stack([own[name].right * 1.0 - found[name].right for found in theirs]) for name in ENDPOINTS}

    def these(weights: Floats) -> dict[str, Floats]:
        return {name: weighted_mean(weights, gains[name].mean(axis=0), own[name].about) for name in ENDPOINTS}

    rng = np.random.default_rng(seed)

    def others(weights: Floats) -> dict[str, Floats]:
        drawn = rng.multinomial(len(readers), np.full(len(readers), 1 / len(readers)), size=len(weights)) / len(readers)
        found = {}
        for name in ENDPOINTS:
            by_reader = np.stack([weighted_mean(weights, gain, own[name].about) for gain in gains[name]], axis=1)
            found[name] = (by_reader * drawn).sum(axis=1)
        return found

    values = these(np.ones((1, len(labels))))
    first, second = bootstrap.resample(these), bootstrap.resample(others)
    return [
        MeanDifference(
            endpoint=name,
            these_readers=bootstrap.estimate(float(values[name][0]), first[name], own[name].about),
            other_readers=bootstrap.estimate(float(values[name][0]), second[name], own[name].about),
        )
        for name in ENDPOINTS
    ]
