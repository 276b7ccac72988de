"""Temperature and decision threshold, both fitted on validation only."""

import logging
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from covidctnet.errors import CohortError, TrainingError
from covidctnet.labels import COVID, LABELS

_LOG = logging.getLogger(__name__)

TEMPERATURE_RANGE = (0.05, 20.0)
FALLBACK_THRESHOLD = 0.5

_FLOOR = float(np.finfo(np.float32).tiny)
"""Smallest probability before the logarithm: networks answer float32, where smaller ones become zero."""


def fit_temperature(scores: ArrayLike, labels: ArrayLike, *, from_logits: bool = False) -> float:
    """Temperature that minimises the negative log-likelihood (Guo et al., ICML 2017).

    Args:
        scores: probabilities, or logits, shape (n, 3).
        labels: class indices, shape (n,).
        from_logits: whether the scores are logits.

    Returns:
        Between 0.05 and 20; above 1 softens. When every case is right, the likelihood only grows as the
        temperature falls and says nothing of calibration: the result is then 1, and a warning is logged.

    Raises:
        CohortError: there is no case, or the labels are not class indices, one a case.
        TrainingError: scores are not finite, or probabilities negative.
    """
    from scipy.optimize import minimize_scalar

    scores = _check_scores(scores, from_logits=from_logits)
    truth = _check_labels(labels, len(scores))
    logits = scores if from_logits else np.log(np.maximum(scores, _FLOOR))
    rows = np.arange(len(truth))
    rivals = logits.copy()
    rivals[rows, truth] = -np.inf
    if (logits[rows, truth] > rivals.max(axis=1)).all():
        _LOG.warning("all %d validation cases are right: no temperature can be fitted, 1 is used", len(truth))
        return 1.0

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        scaled -= scaled.max(axis=1, keepdims=True)
        return float(np.mean(np.log(np.exp(scaled).sum(axis=1)) - scaled[rows, truth]))

    low, high = np.log(TEMPERATURE_RANGE)
    best = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    return float(np.clip(np.exp(best.x), *TEMPERATURE_RANGE))


def apply_temperature(probabilities: ArrayLike, temperature: float) -> NDArray[np.float64]:
    """Soften or sharpen probabilities; their order stays.

    Args:
        probabilities: shape (n, 3).
        temperature: positive; 1 changes nothing.

    Returns:
        Probabilities that add up to 1, shape (n, 3), float64.

    Raises:
        TrainingError: temperature or probabilities are not finite, or not positive as they must be.
    """
    if not (np.isfinite(temperature) and temperature > 0):
        raise TrainingError(f"a temperature must be positive and finite, not {temperature}")
    values = _check_scores(probabilities, from_logits=False)
    scaled = np.log(np.maximum(values, _FLOOR)) / temperature
    scaled = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    result: NDArray[np.float64] = scaled / scaled.sum(axis=1, keepdims=True)
    return result


def fit_threshold(covid_probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Covid-19 probability from which a case is positive, by Youden's J = sensitivity + specificity - 1.

    Args:
        covid_probabilities: shape (n,), 0 to 1.
        labels: class indices, shape (n,); Covid-19 against the rest.

    Returns:
        The midpoint of the two neighbouring scores that the best threshold lies between; of equally good
        gaps the lowest, which misses fewer Covid-19 patients. 0.5, with a warning logged, where validation
        has only one side or no threshold does better than chance.

    Raises:
        CohortError: there is no case, or the labels are not class indices, one a case.
        TrainingError: a probability is not between 0 and 1.
    """
    scores = np.asarray(covid_probabilities, np.float64)
    if scores.ndim != 1 or not ((scores >= 0) & (scores <= 1)).all():
        raise TrainingError(f"expected Covid-19 probabilities (n,) from 0 to 1, received shape {scores.shape}")
    covid = _check_labels(labels, len(scores)) == COVID
    values = np.unique(scores)
    if covid.all() or not covid.any() or len(values) < 2:
        _LOG.warning("validation cannot tell a decision threshold, %s is used", FALLBACK_THRESHOLD)
        return FALLBACK_THRESHOLD
    # Counted as integers: rounding must not decide between equally good gaps.
    hits = np.array([(scores[covid] >= value).sum() for value in values[1:]])
    alarms = np.array([(scores[~covid] >= value).sum() for value in values[1:]])
    gain = hits * (~covid).sum() - alarms * covid.sum()
    if gain.max() <= 0:
        _LOG.warning("no threshold does better than chance on validation, %s is used", FALLBACK_THRESHOLD)
        return FALLBACK_THRESHOLD
    best = int(np.argmax(gain))
    middle = (values[best] + values[best + 1]) / 2.0
    # Between neighbouring floats the midpoint rounds to one of them, and `>=` must keep the lower one out.
    return float(middle if middle > values[best] else values[best + 1])


def _check_scores(scores: ArrayLike, *, from_logits: bool) -> NDArray[np.float64]:
    values = np.asarray(scores, np.float64)
    if values.ndim != 2 or values.shape[1] != len(LABELS):
        raise TrainingError(f"expected scores of shape (n, {len(LABELS)}), not {values.shape}")
    if not np.isfinite(values).all() or (not from_logits and (values < 0).any()):
        raise TrainingError("scores must be finite and probabilities not negative; the network has diverged")
    return values


def _check_labels(labels: ArrayLike, count: int) -> NDArray[np.int64]:
    truth: NDArray[Any] = np.asarray(labels)
    if count == 0 or truth.shape != (count,):
        raise CohortError(f"expected one label for each of {count} cases (at least one), not {truth.shape}")
    if not np.isin(truth, np.arange(len(LABELS))).all():
        raise CohortError(f"labels must be 0 to {len(LABELS) - 1}, not {np.unique(truth).tolist()}")
    return truth.astype(np.int64)
