"""Linear interpolation of a volume, slice by slice on all cores, the same bytes on any number of threads."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from covidctnet.parallel import map_on_cores

FloatArray = NDArray[np.float32]


def resample_linearly(volume: FloatArray, shape: tuple[int, int, int]) -> Callable[[int], FloatArray]:
    """Interpolate a volume to another number of voxels; the outer faces stay where they are.

    Beyond the outermost voxel centres the nearest value holds. Interpolation along the axes one after the
    other equals trilinear interpolation, and reads each voxel fewer times.

    Args:
        volume: float32, axes (z, y, x).
        shape: wanted voxels along (z, y, x), each at least 1.

    Returns:
        A function of the number of a wanted slice that gives it, float32, axes (y, x). Slices are made when
        asked for, so that the whole volume need not be in memory; several threads may ask.
    """
    lower, upper, share = _neighbours(volume.shape[0], shape[0])
    wanted = np.unique(np.concatenate([lower, upper]))
    made = map_on_cores(lambda number: _plane(volume[number], shape[1:]), wanted)
    planes = dict(zip(wanted.tolist(), made, strict=True))

    def slice_at(number: int) -> FloatArray:
        below, above = planes[int(lower[number])], planes[int(upper[number])]
        weight = np.float32(share[number])
        between: FloatArray = below + weight * (above - below)
        return between

    return slice_at


def _plane(plane: FloatArray, size: tuple[int, int]) -> FloatArray:
    rows: FloatArray = _matrix(plane.shape[0], size[0]) @ plane
    columns: FloatArray = _matrix(plane.shape[1], size[1]) @ np.ascontiguousarray(rows.T)
    return np.ascontiguousarray(columns.T)


def _neighbours(old: int, new: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """For each of `new` samples over `old` ones: the sample below, the one above, and the share of the latter."""
    centres = np.clip((np.arange(new) + 0.5) * (old / new) - 0.5, 0, old - 1)
    lower = np.floor(centres).astype(np.int64)
    share = centres - lower
    return lower, np.where(share > 0, np.minimum(lower + 1, old - 1), lower), share


@lru_cache(maxsize=512)
def _matrix(old: int, new: int) -> Any:
    lower, upper, share = _neighbours(old, new)
    rows = np.concatenate([np.arange(new), np.arange(new)])
    weights = np.concatenate([1 - share, share]).astype(np.float32)
    return csr_array((weights, (rows, np.concatenate([lower, upper]))), shape=(new, old))
