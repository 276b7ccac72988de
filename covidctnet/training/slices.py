"""Slices of many cases as one sequence, left on disk until a batch asks for them."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from covidctnet.volume import BoolArray, UnitArray


class MaskedSlices:
    """Slices of several cases one after the other, each with a mask.

    Args:
        slices: by case, axes (slice, y, x), 0 to 1; memory-mapped arrays stay on disk.
        masks: by case, same axes.
        places: which (case, slice) belong to it, in order; all when None.
    """

    def __init__(
        self,
        slices: Sequence[UnitArray],
        masks: Sequence[BoolArray],
        places: NDArray[np.int64] | None = None,
    ) -> None:
        self._slices, self._masks = list(slices), list(masks)
        self._places = _all_places(len(array) for array in slices) if places is None else places

    def __len__(self) -> int:
        return len(self._places)

    def take(self, chosen: Iterable[int]) -> tuple[UnitArray, BoolArray]:
        """Copies of some slices and masks, axes (slice, y, x)."""
        places = self._places[list(chosen)]
        slices = np.stack([self._slices[case][index] for case, index in places])
        masks = np.stack([self._masks[case][index] for case, index in places])
        return slices.astype(np.float32, copy=False), masks.astype(bool, copy=False)

    def thin(self, most: int) -> "MaskedSlices":
        """At most so many slices, evenly spread."""
        step = max(1, -(-len(self) // most))
        return MaskedSlices(self._slices, self._masks, self._places[::step])


def _all_places(lengths: Iterable[int]) -> NDArray[np.int64]:
    counts = np.array(list(lengths), np.int64)
    cases = np.repeat(np.arange(len(counts)), counts)
    firsts = np.repeat(np.cumsum(counts) - counts, counts)
    return np.stack([cases, np.arange(len(cases)) - firsts], axis=1)
