"""Whether later studies are distributed as those of training were: the population stability index.

`training studies -> bins (kept in the bundle) -> counts of later studies in the same bins -> index`

The index compares the shares p of training and q of later studies over bins: the sum of (q - p) ln(q / p)
(N. Siddiqi, Credit Risk Scorecards, 2006, which also gives the usual limits 0.1 and 0.25). It grows where few
studies are compared: without any drift it is distributed as (1/n + 1/m) times chi-square with one degree of freedom
less than bins (B. Yurdakul and J. Naranjo, Statistical properties of the population stability index, 2020).
"""

import bisect
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from covidctnet.config import DriftConfig

PSEUDO_COUNT = 0.5
"""Added to every bin of both sides: an empty bin would make the index infinite (Jeffreys' prior)."""

OTHER = "not in training"
"""The category of everything that training did not see; no name of a later study is ever kept."""


@dataclass(frozen=True, kw_only=True)
class Bins:
    """Counts of training studies between cut points of one statistic.

    Attributes:
        edges: increasing; bin i holds edges[i - 1] <= value < edges[i], the first and the last are open.
        counts: studies in each bin, one more than edges.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if not all(math.isfinite(edge) for edge in self.edges) or list(self.edges) != sorted(set(self.edges)):
            raise ValueError(f"the edges of bins must be finite and increase, not {self.edges}")
        if len(self.counts) != len(self.edges) + 1 or min(self.counts) < 0 or sum(self.counts) == 0:
            raise ValueError(f"{len(self.edges)} edges need {len(self.edges) + 1} counts, not {self.counts}")

    def place(self, value: float) -> int:
        """Number of the bin that a value falls into."""
        return bisect.bisect_right(self.edges, value)


@dataclass(frozen=True, kw_only=True)
class Categories:
    """Counts of training studies by name; every other name is `OTHER`, the last one.

    Attributes:
        names: sorted.
        counts: studies of each name.
    """

    names: tuple[str, ...]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.names or len(self.names) != len(self.counts) or min(self.counts) < 1:
            raise ValueError(f"{len(self.names)} categories need as many counts of at least 1, not {self.counts}")

    def place(self, name: str) -> int:
        """Number of the category that a name falls into."""
        return self.names.index(name) if name in self.names else len(self.names)


def fit_bins(values: Sequence[float], config: DriftConfig) -> Bins:
    """Bins of about equally many training studies.

    A value that many studies share, such as a slice spacing, becomes a bin of its own, so that a move to either
    side shows.

    Args:
        values: of one statistic, one a study, at least one.
        config: how many bins.
    """
    array = np.sort(np.asarray(values, np.float64))
    count = int(np.clip(len(array) // config.studies_per_bin, 2, config.max_bins))
    cuts = [float(array[len(array) * number // count]) for number in range(1, count)]
    repeated = {value for value, times in Counter(array.tolist()).items() if times * count > len(array)}
    edges = sorted({*cuts, *repeated, *(math.nextafter(value, math.inf) for value in repeated)})
    places = Counter(bisect.bisect_right(edges, value) for value in array.tolist())
    return Bins(edges=tuple(edges), counts=tuple(places[number] for number in range(len(edges) + 1)))


def count_categories(names: Iterable[str]) -> Categories:
    """Categories of training studies, of which there is at least one."""
    counts = sorted(Counter(names).items())
    return Categories(names=tuple(name for name, _ in counts), counts=tuple(count for _, count in counts))


def population_stability_index(
    expected: Sequence[int], actual: Sequence[int], *, pseudo_count: float = PSEUDO_COUNT
) -> float:
    """The index of two rows of counts over the same bins; 0 where their shares are equal.

    Args:
        expected: studies of training by bin.
        actual: later studies by bin.
        pseudo_count: added to every bin of both.

    Raises:
        ValueError: the rows differ in length, or one holds no study and no pseudo count.
    """
    p, q = (np.asarray(counts, np.float64) + pseudo_count for counts in (expected, actual))
    if p.shape != q.shape or p.sum() <= 0 or q.sum() <= 0:
        raise ValueError(f"two rows of counts over the same bins are compared, not {expected} and {actual}")
    p, q = p / p.sum(), q / q.sum()
    return float(((q - p) * np.log(q / p)).sum())


def index_by_chance(bins: int, expected: int, actual: int, confidence: float) -> float:
    """The index that studies of one distribution stay below with a probability of `confidence`.

    Args:
        bins: number of bins.
        expected: studies of training.
        actual: later studies.
        confidence: between 0 and 1.
    """
    return _chi_square(bins - 1, confidence) * (1 / expected + 1 / actual)


@lru_cache(maxsize=256)
def _chi_square(freedom: int, confidence: float) -> float:
    from scipy.special import chdtri

    return float(chdtri(freedom, 1 - confidence))
