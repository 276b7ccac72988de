"""Whether probabilities mean what they say."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from covidctnet.evaluation.outcomes import CaseOutcome

BINS = 10
"""Equal bins of confidence between 0 and 1, the usual number (Guo et al., ICML 2017)."""


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """Cases whose highest probability lies in one bin; only bins with cases exist.

    Attributes:
        low, high: the bin's bounds; the upper one belongs to it.
        cases: how many.
        confidence: mean of the highest probabilities.
        accuracy: share of them that is right.
    """

    low: float
    high: float
    cases: int
    confidence: float
    accuracy: float


def reliability_bins(outcomes: Sequence[CaseOutcome], bins: int = BINS) -> list[ReliabilityBin]:
    """Confidence beside accuracy, from the least to the most confident bin."""
    confidences = np.array([max(outcome.probabilities) for outcome in outcomes])
    right = np.array([outcome.predicted == outcome.label for outcome in outcomes])
    edges = np.linspace(0.0, 1.0, bins + 1)
    places = np.clip(np.searchsorted(edges, confidences, side="left") - 1, 0, bins - 1)
    return [
        ReliabilityBin(
            low=float(edges[place]),
            high=float(edges[place + 1]),
            cases=int((places == place).sum()),
            confidence=float(confidences[places == place].mean()),
            accuracy=float(right[places == place].mean()),
        )
        for place in np.unique(places)
    ]


def expected_calibration_error(outcomes: Sequence[CaseOutcome], bins: int = BINS) -> float | None:
    """Mean distance of confidence and accuracy over the bins, weighted by cases; None without cases."""
    if not outcomes:
        return None
    gaps = [part.cases * abs(part.confidence - part.accuracy) for part in reliability_bins(outcomes, bins)]
    return sum(gaps) / len(outcomes)
