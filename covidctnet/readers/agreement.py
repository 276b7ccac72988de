"""Agreement beyond chance: kappa of two raters and of several, under weights of the cases.

Sources: Cohen, Educational and Psychological Measurement 1960; Fleiss, Psychological Bulletin 1971. As functions
of weights they can be resampled by patient at once; with weights of one they are scikit-learn's and statsmodels'.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from covidctnet.evaluation.bootstrap import Estimate, Floats, PatientBootstrap
from covidctnet.labels import LABELS


@dataclass(frozen=True, kw_only=True)
class PairAgreement:
    """Cohen's kappa of two raters."""

    first: str
    second: str
    kappa: Estimate


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far raters agree, 1 wholly, 0 as by chance.

    Attributes:
        overall: Fleiss' kappa of all.
        pairs: Cohen's kappa of each two, in their order.
        unanimous: share of cases that all answered alike.
    """

    overall: Estimate
    pairs: tuple[PairAgreement, ...]
    unanimous: float


def cohen_kappa(first: NDArray[np.int64], second: NDArray[np.int64], weights: Floats) -> Floats:
    """Unweighted kappa of two raters.

    Args:
        first: class indices, shape (n,).
        second: of the same cases, shape (n,).
        weights: of the cases, shape (sets, n).

    Returns:
        Shape (sets,), NaN where both answered one class only, as chance then leaves nothing to agree on.
    """
    classes = np.arange(len(LABELS))
    total = weights.sum(axis=1)
    observed = (weights @ (first == second).astype(np.float64)) / total
    shares = [
        (weights @ (answers[:, None] == classes).astype(np.float64)) / total[:, None] for answers in (first, second)
    ]
    return _beyond_chance(observed, (shares[0] * shares[1]).sum(axis=1))


def fleiss_kappa(counts: NDArray[np.int64], weights: Floats) -> Floats:
    """Kappa of several raters.

    Args:
        counts: how many raters gave each class, shape (n, classes), each row with the same sum of two or more.
        weights: of the cases, shape (sets, n).

    Returns:
        Shape (sets,), NaN where all answers are of one class.
    """
    raters = int(counts[0].sum())
    total = weights.sum(axis=1)
    alike = (counts * (counts - 1)).sum(axis=1) / (raters * (raters - 1))
    shares = (weights @ counts.astype(np.float64)) / (raters * total[:, None])
    return _beyond_chance((weights @ alike) / total, (shares**2).sum(axis=1))


def _beyond_chance(observed: Floats, expected: Floats) -> Floats:
    kappa = np.full(observed.shape, np.nan)
    np.divide(observed - expected, 1.0 - expected, out=kappa, where=expected < 1.0 - 1e-12)
    return kappa


def measure_agreement(names: tuple[str, ...], answers: NDArray[np.int64], bootstrap: PatientBootstrap) -> Agreement:
    """Agreement of raters, with intervals by resampling patients.

    Args:
        names: of the raters, two or more.
        answers: class indices, shape (raters, n).
        bootstrap: over the same n cases.
    """
    counts = (answers[:, :, None] == np.arange(len(LABELS))).sum(axis=0)
    pairs = list(combinations(range(len(names)), 2))

    def kappas(weights: Floats) -> dict[str, Floats]:
        found = {f"{i} {j}": cohen_kappa(answers[i], answers[j], weights) for i, j in pairs}
        return {"all": fleiss_kappa(counts, weights), **found}

    everyone = np.ones(answers.shape[1], bool)
    values, samples = kappas(np.ones((1, answers.shape[1]))), bootstrap.resample(kappas)

    def estimate(name: str) -> Estimate:
        return bootstrap.estimate(float(values[name][0]), samples[name], everyone)

    return Agreement(
        overall=estimate("all"),
        pairs=tuple(PairAgreement(first=names[i], second=names[j], kappa=estimate(f"{i} {j}")) for i, j in pairs),
        unanimous=float((counts.max(axis=1) == len(names)).mean()),
    )
