"""Bands of ROC curves: where the curve lies when patients are drawn anew."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from covidctnet.config import EvaluationConfig
from covidctnet.evaluation.bootstrap import Bools, Floats, PatientBootstrap
from covidctnet.evaluation.outcomes import CaseOutcome
from covidctnet.labels import LABELS

_POINTS = 101


@dataclass(frozen=True, kw_only=True)
class RocBand:
    """Sensitivity at each false positive rate, pointwise percentiles of the resamples.

    Attributes:
        name: of the class against the rest.
        false_positive_rate: rising from 0 to 1.
        low, high: bounds of the sensitivity there.
    """

    name: str
    false_positive_rate: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def roc_bands(outcomes: Sequence[CaseOutcome], config: EvaluationConfig, seed: int) -> dict[str, RocBand]:
    """Band of each class against the rest, by name; none where a side has fewer than two patients.

    Pointwise: at one false positive rate the band covers with the configured confidence, the whole curve less often.

    Raises:
        CohortError: there is no case.
    """
    labels = np.array([outcome.label for outcome in outcomes], np.int64)
    scores = np.array([outcome.probabilities for outcome in outcomes], np.float64).reshape(-1, len(LABELS))
    bootstrap = PatientBootstrap([outcome.patient for outcome in outcomes], labels.tolist(), config, seed)
    tail, grid, bands = (1.0 - config.confidence) / 2.0, np.linspace(0.0, 1.0, _POINTS), {}
    for index, name in enumerate(LABELS):
        positive = labels == index
        sides = [len(set(bootstrap.patient_of_case[side].tolist())) for side in (positive, ~positive)]
        if min(sides) < 2:
            continue
        drawn = bootstrap.resample(
            lambda weights, positive=positive, index=index: {  # type: ignore[misc]
                "curve": sensitivities(positive, scores[:, index], weights, grid)
            }
        )["curve"]
        low, high = np.quantile(drawn, (tail, 1.0 - tail), axis=0)
        bands[name] = RocBand(
            name=name, false_positive_rate=tuple(grid.tolist()), low=tuple(low.tolist()), high=tuple(high.tolist())
        )
    return bands


def sensitivities(positive: Bools, scores: Floats, weights: Floats, grid: Floats) -> Floats:
    """Sensitivity of weighted ROC curves at given false positive rates.

    Args:
        positive: shape (n,), with weight on both sides in every set.
        scores: higher for positive, shape (n,); equal scores make one sloped step.
        weights: shape (sets, n).
        grid: false positive rates, rising, shape (points,).

    Returns:
        Shape (sets, points); the highest sensitivity where the curve rises at a rate.
    """
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0])
    drawn, up = weights[:, order], positive[order]
    rates = []
    for side in (up, ~up):
        steps = np.add.reduceat(np.where(side, drawn, 0.0), starts, axis=1).cumsum(axis=1)
        rates.append(np.concatenate([np.zeros((len(weights), 1)), steps / steps[:, -1:]], axis=1))
    return np.stack([np.interp(grid, false, true) for true, false in zip(*rates, strict=True)])
