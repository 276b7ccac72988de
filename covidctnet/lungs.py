"""Where the aerated lungs are: a classical segmentation by threshold and connectivity."""

import numpy as np
from scipy import ndimage

from covidctnet.volume import BoolArray, HUArray, Volume

_AERATED_HU = -500.0
"""Between lung and soft tissue; the usual threshold of classical lung segmentation."""

_SMALLEST_SHARE = 0.1
"""A component smaller than this share of the largest is bowel gas or airway, not a lung."""


def segment_lungs(volume: Volume) -> BoolArray:
    """Mark aerated lung, axes (z, y, x): air-like voxels that do not touch the border of their slice.

    Dense consolidations are left out: what is marked is aerated lung, not the whole organ.
    """
    return segment_aerated(volume.hu)


def segment_aerated(hu: HUArray) -> BoolArray:
    """Mark aerated lung in Hounsfield units, axes (z, y, x)."""
    air = hu < _AERATED_HU
    border = np.zeros_like(air)
    border[:, [0, -1], :] = border[:, :, [0, -1]] = True
    inner = np.zeros_like(air)
    for index, plane in enumerate(air):
        components, _ = ndimage.label(plane)
        outside = np.unique(components[border[index] & plane])
        inner[index] = plane & ~np.isin(components, outside)
    components, count = ndimage.label(inner)
    if count == 0:
        return inner
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    kept = np.flatnonzero(sizes >= _SMALLEST_SHARE * sizes.max())
    lungs: BoolArray = np.isin(components, kept)
    return lungs


def mean_lung_hu(volume: Volume) -> float:
    """Mean Hounsfield value of aerated lung; that of the whole volume where none is found."""
    step = max(1, volume.hu.shape[1] // 256)
    coarse = volume.hu[:, ::step, ::step]
    lungs = segment_aerated(coarse)
    return float(coarse[lungs].mean()) if lungs.any() else float(coarse.mean())
