"""Trachea and main bronchi, followed from slice to slice, so that they are not taken for lung."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from covidctnet.volume import BoolArray, HUArray

_LUMEN_HU = -850.0
"""Air in the trachea is near -1000, its wall above -700; partial volume lies between."""

_TISSUE_HU = -300.0
_TRACHEA_MM2 = (60.0, 900.0)
_LEAK_MM2 = 1100.0
_LEAK_GROWTH = 2.5
_OFF_MIDLINE_MM = 45.0
_SEARCHED_SHARE = 0.5
_ROUNDNESS = 0.55
"""Least share of its bounding box that a section of the trachea fills; a circle fills 0.79."""

Plane = NDArray[np.bool_]


def find_airways(hu: HUArray, inner: BoolArray, spacing_mm: tuple[float, float, float]) -> BoolArray:
    """Mark the lumen of trachea and main bronchi.

    The trachea is the highest round spot of air near the body's midline. From there each slice keeps the spots
    that overlap those of its neighbour, until one grows at once: there it has leaked into the lung.

    Args:
        hu: Hounsfield units, axes (z, y, x), z from feet to head.
        inner: air inside the body, same axes.
        spacing_mm: along (z, y, x).

    Returns:
        Axes (z, y, x); empty where no trachea is found.
    """
    airways = np.zeros_like(inner)
    lumen = inner & (hu < _LUMEN_HU)
    pixel_mm2 = spacing_mm[1] * spacing_mm[2]
    start = _find_trachea(hu, lumen, spacing_mm)
    if start is None:
        return airways
    height, spot = start
    airways[height] = spot
    for heights in (range(height - 1, -1, -1), range(height + 1, len(lumen))):
        current = spot
        for z in heights:
            current = _follow(current, lumen[z], pixel_mm2)
            if not current.any():
                break
            airways[z] = current
    return airways


def _find_trachea(hu: HUArray, lumen: BoolArray, spacing_mm: tuple[float, float, float]) -> tuple[int, Plane] | None:
    pixel_mm2 = spacing_mm[1] * spacing_mm[2]
    for z in range(len(lumen) - 1, int(_SEARCHED_SHARE * len(lumen)), -1):
        # The couch is hollow as well: only what the body surrounds is an airway.
        body = _body(hu[z])
        labels, _ = ndimage.label(lumen[z] & body)
        columns = np.flatnonzero(body.any(axis=0))
        for number, box in enumerate(ndimage.find_objects(labels), start=1):
            spot = labels == number
            area = float(spot.sum())
            round_enough = area >= _ROUNDNESS * spot[box].size
            off_middle = abs(box[1].start + box[1].stop - 1 - columns[0] - columns[-1]) / 2
            central = off_middle * spacing_mm[2] < _OFF_MIDLINE_MM
            if round_enough and central and _TRACHEA_MM2[0] <= area * pixel_mm2 <= _TRACHEA_MM2[1]:
                return z, spot
    return None


def _body(plane: NDArray[np.float32]) -> Plane:
    """The largest piece of tissue in a slice with all that it surrounds."""
    labels, count = ndimage.label(plane > _TISSUE_HU)
    if count == 0:
        return np.zeros(plane.shape, dtype=bool)
    body: Plane = ndimage.binary_fill_holes(labels == 1 + np.argmax(np.bincount(labels.ravel())[1:]))
    return body


def _follow(current: Plane, lumen: Plane, pixel_mm2: float) -> Plane:
    labels, _ = ndimage.label(lumen)
    touched = np.unique(labels[current & lumen])
    following = np.zeros_like(current)
    for number in touched[touched > 0]:
        spot = labels == number
        area = float(spot.sum())
        overlapped = float((current & _grown(spot)).sum())
        if area * pixel_mm2 <= _LEAK_MM2 and area <= _LEAK_GROWTH * max(overlapped, 1.0) + 2.0:
            following |= spot
    return following


def _grown(plane: Plane) -> Plane:
    grown: Plane = ndimage.binary_dilation(plane)
    return grown
