"""Receiver operating characteristic: areas under weights, and curves to draw."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from covidctnet.evaluation.bootstrap import Bools, Floats
from covidctnet.evaluation.outcomes import CaseOutcome
from covidctnet.labels import COVID, LABELS


def weighted_auc(positive: Bools, scores: Floats, weights: Floats) -> Floats:
    """Areas under the ROC curve, one a set of weights; equal scores count half (Mann-Whitney).

    Args:
        positive: shape (n,).
        scores: shape (n,), higher for positive.
        weights: shape (sets, n), not negative.

    Returns:
        Shape (sets,), NaN where either side has no weight.
    """
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    sides = (
        np.where(positive[order], weights[:, order], 0.0),
        np.where(positive[order], 0.0, weights[:, order]),
    )
    above, below = (np.add.reduceat(side, starts, axis=1) for side in sides)
    beaten = np.cumsum(below, axis=1) - 0.5 * below
    pairs = above.sum(axis=1) * below.sum(axis=1)
    areas = np.full(len(weights), np.nan)
    np.divide((above * beaten).sum(axis=1), pairs, out=areas, where=pairs > 0)
    return areas


def multiclass_auc(labels: NDArray[np.int64], probabilities: Floats, weights: Floats) -> dict[str, Floats]:
    """One-vs-rest areas by label's name, with their mean as `macro` and the pooled one as `micro`.

    Args:
        labels: class indices, shape (n,).
        probabilities: shape (n, 3).
        weights: shape (sets, n).

    Returns:
        Shape (sets,) each; NaN where a class is missing, and then for `macro` too.
    """
    truth = labels[:, None] == np.arange(len(LABELS))
    areas = {name: weighted_auc(truth[:, k], probabilities[:, k], weights) for k, name in enumerate(LABELS)}
    areas["macro"] = np.mean([areas[name] for name in LABELS], axis=0)
    areas["micro"] = weighted_auc(truth.ravel(), probabilities.ravel(), np.repeat(weights, len(LABELS), axis=1))
    return areas


@dataclass(frozen=True, kw_only=True)
class RocCurve:
    """One curve.

    Attributes:
        name: of the class, or `macro` or `micro`.
        false_positive_rate, true_positive_rate: rising, from (0, 0) to (1, 1).
        auc: area under exactly this curve.
    """

    name: str
    false_positive_rate: tuple[float, ...]
    true_positive_rate: tuple[float, ...]
    auc: float


def roc_curves(outcomes: Sequence[CaseOutcome]) -> list[RocCurve]:
    """One-vs-rest curve of each class that has cases on both sides, then macro and micro average.

    The macro-average is drawn only where every class has a curve.
    """
    from sklearn.metrics import roc_curve

    labels = np.array([outcome.label for outcome in outcomes], np.int64)
    probabilities = np.array([outcome.probabilities for outcome in outcomes], np.float64).reshape(-1, len(LABELS))
    truth = labels[:, None] == np.arange(len(LABELS))
    curves = []
    for index, name in enumerate(LABELS):
        if 0 < truth[:, index].sum() < len(labels):
            rates = roc_curve(truth[:, index], probabilities[:, index])[:2]
            curves.append(_curve(name, *rates))
    if len(curves) == len(LABELS):
        curves.append(_macro(curves))
    if len(labels):
        curves.append(_curve("micro", *roc_curve(truth.ravel(), probabilities.ravel())[:2]))
    return curves


def _macro(curves: Sequence[RocCurve]) -> RocCurve:
    # Each false-positive rate appears twice, below and above the steps there: one interpolated value a
    # rate would turn the steps into ramps, and the area would no longer be the mean of the classes' areas.
    grid = np.unique(np.concatenate([curve.false_positive_rate for curve in curves]))
    lower, upper = np.zeros_like(grid), np.zeros_like(grid)
    for curve in curves:
        x, y = np.array(curve.false_positive_rate), np.array(curve.true_positive_rate)
        upper += np.interp(grid, x, y) / len(curves)
        lower += np.interp(-grid, -x[::-1], y[::-1]) / len(curves)
    return _curve("macro", np.repeat(grid, 2), np.stack([lower, upper], axis=1).ravel())


def _curve(name: str, x: Floats, y: Floats) -> RocCurve:
    return RocCurve(
        name=name,
        false_positive_rate=tuple(x.tolist()),
        true_positive_rate=tuple(y.tolist()),
        auc=float(np.trapezoid(y, x)),
    )


def covid_roc_points(outcomes: Sequence[CaseOutcome]) -> tuple[list[float], list[float], list[float]]:
    """False positive rates, true positive rates and thresholds, 0 to 1, of Covid-19 against the rest.

    The point where no case is positive stands at a threshold of 1, for no probability lies above; the lists are
    empty where one side has no case.
    """
    from sklearn.metrics import roc_curve

    truth = np.array([outcome.label == COVID for outcome in outcomes])
    if truth.all() or not truth.any():
        return [], [], []
    false, true, thresholds = roc_curve(truth, [outcome.probabilities[COVID] for outcome in outcomes])
    return false.tolist(), true.tolist(), np.minimum(thresholds, 1.0).tolist()
