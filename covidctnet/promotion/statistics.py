"""Statistics of the gate, over plain arrays; scipy where it has them.

Sources: Clopper and Pearson, Biometrika 1934 (exact interval of a share); McNemar, Psychometrika 1947, exact form;
DeLong, DeLong and Clarke-Pearson, Biometrics 1988 (correlated areas), with the ranks of Sun and Xu, IEEE Signal
Processing Letters 2014; Brier, Monthly Weather Review 1950.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from covidctnet.errors import PromotionError
from covidctnet.evaluation.bootstrap import Bools, Floats

_DIGITS = 12
"""Bounds are rounded here before a limit is applied: processors differ in the last digits, decisions must not."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Bounds of a two-sided interval."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class McNemar:
    """Paired yes-or-no answers.

    Attributes:
        gained: pairs that only the candidate has right.
        lost: pairs that only the champion has right.
        p_value: exact, two-sided; 1 where nothing differs.
    """

    gained: int
    lost: int
    p_value: float


@dataclass(frozen=True, kw_only=True)
class DeLong:
    """Two areas under the ROC curve on the same cases.

    Attributes:
        candidate, champion: areas.
        difference: candidate minus champion.
        standard_error: of the difference.
        p_value: two-sided; 1 where the difference has no variance and is 0, None where it has none and is not 0.
    """

    candidate: float
    champion: float
    difference: float
    standard_error: float
    p_value: float | None


def exact_interval(hits: int, total: int, confidence: float) -> Interval:
    """Interval of Clopper and Pearson for a share of independent trials.

    Raises:
        PromotionError: there is no trial, or more hits than trials.
    """
    from scipy.stats import binomtest

    if not 0 <= hits <= total or total == 0:
        raise PromotionError(f"{hits} of {total} is no share of trials")
    found = binomtest(hits, total).proportion_ci(confidence, method="exact")
    return Interval(low=round(float(found.low), _DIGITS), high=round(float(found.high), _DIGITS))


def mcnemar_exact(candidate_right: Bools, champion_right: Bools) -> McNemar:
    """Exact test of McNemar over pairs.

    Args:
        candidate_right: shape (n,).
        champion_right: of the same pairs, shape (n,).
    """
    from scipy.stats import binomtest

    gained = int((candidate_right & ~champion_right).sum())
    lost = int((champion_right & ~candidate_right).sum())
    p_value = float(binomtest(gained, gained + lost, 0.5).pvalue) if gained + lost else 1.0
    return McNemar(gained=gained, lost=lost, p_value=p_value)


def delong(positive: Bools, candidate: Floats, champion: Floats) -> DeLong:
    """Compare two correlated areas under the ROC curve; equal scores count half.

    Args:
        positive: shape (n,), with two cases or more on each side.
        candidate: scores, higher for positive, shape (n,).
        champion: scores of the same cases, shape (n,).

    Raises:
        PromotionError: a side has fewer than two cases.
    """
    from scipy.stats import norm

    if min(int(positive.sum()), int((~positive).sum())) < 2:
        raise PromotionError("the test of DeLong needs two cases or more on each side")
    parts = [_placements(positive, scores) for scores in (candidate, champion)]
    areas = [float(above.mean()) for above, _ in parts]
    variance = 0.0
    for side in (0, 1):
        differences = parts[0][side] - parts[1][side]
        variance += float(differences.var(ddof=1)) / len(differences)
    difference, error = areas[0] - areas[1], float(np.sqrt(variance))
    p_value = float(2.0 * norm.sf(abs(difference) / error)) if error > 0.0 else None
    if difference == 0.0:
        p_value = 1.0
    return DeLong(candidate=areas[0], champion=areas[1], difference=difference, standard_error=error, p_value=p_value)


def _placements(positive: Bools, scores: Floats) -> tuple[Floats, Floats]:
    """Share of negatives below each positive, and of positives above each negative."""
    from scipy.stats import rankdata

    ranks = rankdata(scores)
    up, down = scores[positive], scores[~positive]
    above = (ranks[positive] - rankdata(up)) / len(down)
    below = 1.0 - (ranks[~positive] - rankdata(down)) / len(up)
    return above, below


def brier_terms(labels: NDArray[np.int64], probabilities: Floats) -> Floats:
    """Squared distance of probabilities and truth of each case, summed over the classes: 0 best, 2 worst.

    Args:
        labels: class indices, shape (n,).
        probabilities: shape (n, classes).

    Returns:
        Shape (n,); their mean is the Brier score.
    """
    truth = labels[:, None] == np.arange(probabilities.shape[1])
    terms: Floats = ((probabilities - truth) ** 2).sum(axis=1)
    return terms


def percentile_interval(samples: Floats, confidence: float) -> Interval:
    """Interval between the quantiles of bootstrap samples."""
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(samples, (tail, 1.0 - tail))
    return Interval(low=round(float(low), _DIGITS), high=round(float(high), _DIGITS))
