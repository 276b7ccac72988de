"""Regions of preprocessed slices that the figures need: lungs, body, surfaces, the slice to show."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from covidctnet.lungs import segment_aerated
from covidctnet.report.data import CaseExample
from covidctnet.volume import BoolArray, UnitArray

DEFAULT_WINDOW_HU = (-1000.0, 400.0)
"""What 0 and 1 stand for unless the configuration says otherwise (paper, Methods, "Preprocessing")."""

RESIDUAL_RANGE = 0.35
"""Colours end here, the same in every figure and report, so that they can be compared by eye."""

_BODY_HU = -300.0


def lung_region(example: CaseExample, window_hu: tuple[float, float] = DEFAULT_WINDOW_HU) -> BoolArray:
    """The lungs, with small dense parts inside them, axes (z, y, x).

    The true mask where it is known; else aerated lung, closed slice by slice, because a consolidation is
    not aerated. A consolidation at the chest wall can still be missing.
    """
    if example.lung is not None:
        return example.lung
    low, high = window_hu
    aerated = segment_aerated(np.asarray(example.slices * (high - low) + low, np.float32))
    reach = max(1, example.slices.shape[-1] // 24)
    disk = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) <= reach
    closed = np.zeros_like(aerated)
    for index, plane in enumerate(aerated):
        if plane.any():
            # Padding, because the closing of a mask at the border would otherwise erode it there.
            padded = ndimage.binary_closing(np.pad(plane, reach), disk)[reach:-reach, reach:-reach]
            closed[index] = ndimage.binary_fill_holes(padded)
    return closed


def body_region(slices: UnitArray, window_hu: tuple[float, float] = DEFAULT_WINDOW_HU) -> BoolArray:
    """The body without the table, filled slice by slice, axes (z, y, x)."""
    low, high = window_hu
    dense = ndimage.binary_opening(slices > (_BODY_HU - low) / (high - low), np.ones((1, 3, 3), bool))
    components, count = ndimage.label(dense)
    if count == 0:
        return np.zeros(slices.shape, bool)
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    body = components == sizes.argmax()
    return np.stack([ndimage.binary_fill_holes(plane) for plane in body])


def surface(region: BoolArray) -> BoolArray:
    """Voxels of a region with a neighbour outside of it; the border of the volume is none."""
    eroded = ndimage.binary_erosion(region, border_value=1)
    return np.asarray(region & ~eroded, bool)


def slice_to_show(example: CaseExample, lung: BoolArray) -> int:
    """Index along z of the slice with most true infection; else of the strongest residual in the lungs.

    The same rule holds for Controls: theirs is the worst slice, not the best one. Slices with little lung
    do not count, as a handful of voxels there would win by chance.
    """
    if example.infection is not None and example.infection.any():
        return int(example.infection.sum(axis=(1, 2)).argmax())
    return strongest_slice(example.residual, lung)


def strongest_slice(residual: NDArray[np.float32], lung: BoolArray) -> int:
    """Index along z of the slice with the strongest mean residual in the lungs; the middle one where no lung is."""
    areas = lung.sum(axis=(1, 2))
    if not lung.any():
        return len(residual) // 2
    sums = (np.abs(residual) * lung).sum(axis=(1, 2))
    strength = np.where(areas >= 0.5 * areas.max(), sums / np.maximum(areas, 1), -1.0)
    return int(strength.argmax())
