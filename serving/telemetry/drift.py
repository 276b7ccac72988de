"""Whether the studies that come in are still distributed like those of training."""

import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from covidctnet.bundle import Reference
from covidctnet.stability import OTHER, Bins, Categories, index_by_chance, population_stability_index
from serving.settings import TelemetrySettings

SCANNERS = "scanner mix"

Level = Literal["none", "moderate", "major"]
LEVELS: tuple[Level, ...] = ("none", "moderate", "major")
Status = Literal["enough studies", "not enough studies", "the bundle keeps no distributions"]


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How far one statistic of the window has moved.

    Attributes:
        index: population stability index.
        by_chance: the index that studies like those of training stay below with the settings' confidence.
        level: by the settings' limits, and "none" where chance explains the index.
        expected: training studies by bin.
        recent: studies of the window by bin.
    """

    index: float
    by_chance: float
    level: Level
    expected: tuple[int, ...]
    recent: tuple[int, ...]


class DriftWindow:
    """The latest studies' statistics beside those that the bundle keeps of training; thread-safe.

    Only numbers and the place of the scanner among those of training are kept: nothing of a header.

    Args:
        reference: the bundle's.
        settings: how many studies, and from where on they have drifted.
    """

    def __init__(self, reference: Reference, settings: TelemetrySettings) -> None:
        self._settings, self._ranges = settings, dict(reference.ranges)
        self._bins: dict[str, Bins | Categories] = dict(reference.distributions)
        if reference.scanner_mix is not None:
            self._bins[SCANNERS] = reference.scanner_mix
        self._scanners = reference.scanner_mix
        self._studies: deque[tuple[dict[str, int], frozenset[str]]] = deque(maxlen=settings.drift_window)
        self._lock = threading.Lock()

    def add(self, statistics: Mapping[str, float], scanner: str) -> None:
        """Keep one study.

        Args:
            statistics: see `covidctnet.distribution.input_statistics`.
            scanner: brand and model.
        """
        places = {name: bins.place(statistics[name]) for name, bins in self._bins.items() if isinstance(bins, Bins)}
        if self._scanners is not None:
            places[SCANNERS] = self._scanners.place(scanner)
        outside = frozenset(name for name, (low, high) in self._ranges.items() if not low <= statistics[name] <= high)
        with self._lock:
            self._studies.append((places, outside))

    @property
    def studies(self) -> int:
        """Studies in the window."""
        return len(self._studies)

    @property
    def status(self) -> Status:
        """Whether drift can be told."""
        if not self._bins:
            return "the bundle keeps no distributions"
        return "enough studies" if self.studies >= self._settings.drift_minimum else "not enough studies"

    def measure(self) -> dict[str, Drift]:
        """Drift by statistic; empty where it cannot be told."""
        if self.status != "enough studies":
            return {}
        with self._lock:
            studies = [places for places, _ in self._studies]
        return {name: self._measure(bins, [places[name] for places in studies]) for name, bins in self._bins.items()}

    def shares_outside(self) -> dict[str, float]:
        """Share of the window's studies outside of the training range, by statistic; empty with too few studies."""
        if self.studies < self._settings.drift_minimum:
            return {}
        with self._lock:
            studies = [outside for _, outside in self._studies]
        return {name: sum(name in outside for outside in studies) / len(studies) for name in self._ranges}

    def to_document(self) -> dict[str, Any]:
        """The window for the JSON endpoint."""
        settings, drifts = self._settings, self.measure()
        return {
            "status": self.status,
            "studies": self.studies,
            "minimum": settings.drift_minimum,
            "window": settings.drift_window,
            "drift": worst(drifts) if drifts else None,
            "thresholds": {
                "moderate": settings.drift_moderate,
                "major": settings.drift_major,
                "confidence": settings.drift_confidence,
            },
            "statistics": {name: self._describe(name, drift) for name, drift in drifts.items()},
            "share_outside_of_training": self.shares_outside(),
            "training_ranges": {name: list(bounds) for name, bounds in self._ranges.items()},
        }

    def _measure(self, bins: Bins | Categories, places: list[int]) -> Drift:
        expected = bins.counts if isinstance(bins, Bins) else (*bins.counts, 0)
        counted = Counter(places)
        recent = tuple(counted[number] for number in range(len(expected)))
        index = population_stability_index(expected, recent)
        by_chance = index_by_chance(len(expected), sum(expected), len(places), self._settings.drift_confidence)
        level: Level = "none"
        if index > by_chance and index >= self._settings.drift_moderate:
            level = "major" if index >= self._settings.drift_major else "moderate"
        return Drift(index=index, by_chance=by_chance, level=level, expected=expected, recent=recent)

    def _describe(self, name: str, drift: Drift) -> dict[str, Any]:
        bins, expected, recent = self._bins[name], sum(drift.expected), sum(drift.recent)
        if isinstance(bins, Bins):
            labels: list[Any] = [list(bounds) for bounds in pairwise((None, *bins.edges, None))]
        else:
            labels = [*bins.names, OTHER]
        rows = zip(labels, drift.expected, drift.recent, strict=True)
        return {
            "index": drift.index,
            "by_chance": drift.by_chance,
            "level": drift.level,
            "training_studies": expected,
            "bins": [
                {"bin": label, "training": before / expected, "recent": now / recent} for label, before, now in rows
            ],
        }


def worst(drifts: Mapping[str, Drift]) -> Level:
    """The highest level of several statistics, of which there is at least one."""
    return max((drift.level for drift in drifts.values()), key=LEVELS.index)
