"""Whether the studies that come in are still like those of training."""

import threading
from collections import deque
from collections.abc import Mapping
from typing import Any

from covidctnet.bundle import Reference

SCANNERS = "unseen scanners"


class DriftWindow:
    """The latest studies' statistics beside the ranges that the bundle saw in training; thread-safe.

    Args:
        reference: the bundle's.
        size: studies that are kept.
    """

    def __init__(self, reference: Reference, size: int) -> None:
        self._reference = reference
        self._known = frozenset(reference.scanners)
        self._studies: deque[tuple[dict[str, float], bool]] = deque(maxlen=size)
        self._lock = threading.Lock()

    def add(self, statistics: Mapping[str, float], scanner: str) -> None:
        """Keep one study."""
        with self._lock:
            self._studies.append((dict(statistics), scanner in self._known))

    def distances(self) -> dict[str, float]:
        """Share of the window's studies outside of the training range, by statistic, and on unseen scanners."""
        with self._lock:
            studies = list(self._studies)
        if not studies:
            return {}
        outside = {
            name: sum(not low <= statistics[name] <= high for statistics, _ in studies) / len(studies)
            for name, (low, high) in self._reference.ranges.items()
        }
        return outside | {SCANNERS: sum(not known for _, known in studies) / len(studies)}

    def to_document(self) -> dict[str, Any]:
        """The window for the JSON endpoint."""
        return {
            "studies": len(self._studies),
            "window": self._studies.maxlen,
            "share_outside_of_training": self.distances(),
            "training_ranges": {name: list(bounds) for name, bounds in self._reference.ranges.items()},
        }
