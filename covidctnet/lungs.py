"""Where the lungs are: a classical segmentation by threshold, connectivity and closing."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from covidctnet.airways import find_airways
from covidctnet.resize import resize
from covidctnet.volume import BoolArray, HUArray, Volume

RIGHT, LEFT = 1, 2
"""Labels of the patient's right and left lung; 0 is everything else."""

LungLabels = NDArray[np.uint8]
"""0, RIGHT or LEFT, axes (z, y, x)."""

_AERATED_HU = -500.0
"""Between lung and soft tissue; the usual threshold of classical lung segmentation."""

_SMALLEST_SHARE = 0.1
"""A component smaller than this share of the largest is bowel gas or airway, not a lung."""

_IN_PLANE = ndimage.generate_binary_structure(3, 1) & (np.arange(3) == 1)[:, None, None]
"""Neighbours along y and x, none along z."""

_WORKING_MM = 2.5
_CLOSING_MM = 10.0
_BONE_HU = 250.0
_DEEPEST_CUT_MM = 15.0
_SPECK_SHARE = 0.02
_ACROSS_SHARE = 0.2

Spacing = tuple[float, float, float]


def segment_lungs(volume: Volume) -> LungLabels:
    """Mark both lungs with the vessels and opacities inside them, without trachea and main bronchi.

    Works on voxels of about 2.5 mm and brings the result back to the volume's grid. Opacities that reach
    more than about 2 cm from the pleura inwards are as dense as the chest wall and stay outside: what is
    marked is then smaller than the organ.

    Args:
        volume: Hounsfield units, axes (z, y, x), x from right to left.

    Returns:
        RIGHT, LEFT or 0, axes (z, y, x) of the volume; all 0 where no lung is found.
    """
    steps = [max(1, round(_WORKING_MM / spacing)) for spacing in volume.spacing_mm]
    hu = np.ascontiguousarray(volume.hu[:: steps[0], :: steps[1], :: steps[2]])
    depth, height, width = (spacing * step for spacing, step in zip(volume.spacing_mm, steps, strict=True))
    labels = _segment(hu, (depth, height, width))
    return labels if hu.shape == volume.hu.shape else _enlarge(labels, volume.hu.shape, steps)


def segment_aerated(hu: HUArray) -> BoolArray:
    """Mark aerated lung and the airways joined to it in Hounsfield units, axes (z, y, x)."""
    return _largest(_inner_air(hu))


def mean_lung_hu(volume: Volume) -> float:
    """Mean Hounsfield value of aerated lung; that of the whole volume where none is found."""
    step = max(1, volume.hu.shape[1] // 256)
    coarse = volume.hu[:, ::step, ::step]
    lungs = segment_aerated(coarse)
    return float(coarse[lungs].mean()) if lungs.any() else float(coarse.mean())


def _inner_air(hu: HUArray) -> BoolArray:
    """Air-like voxels that are not joined to the border of their slice."""
    air = hu < _AERATED_HU
    components, count = ndimage.label(air, _IN_PLANE)
    outside = np.zeros(count + 1, dtype=bool)
    for edge in (components[:, 0], components[:, -1], components[:, :, 0], components[:, :, -1]):
        outside[edge] = True
    inner: BoolArray = air & ~outside[components]
    return inner


def _largest(mask: BoolArray) -> BoolArray:
    components, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    kept = (sizes > 0) & (sizes >= _SMALLEST_SHARE * sizes.max())
    largest: BoolArray = kept[components]
    return largest


def _segment(hu: HUArray, spacing_mm: Spacing) -> LungLabels:
    inner = _inner_air(hu)
    lumen = find_airways(hu, inner, spacing_mm)
    # The wall's partial volume is part of the airway, not of the lung.
    airways = lumen | (ndimage.binary_dilation(lumen) & inner)
    aerated = _largest(inner & ~airways)
    if not aerated.any():
        return np.zeros(hu.shape, np.uint8)
    body = np.flatnonzero((hu > _AERATED_HU).any(axis=(0, 1)))
    sides = _sides(aerated, 0.5 * float(body[0] + body[-1]), spacing_mm)
    labels: LungLabels = _close(sides, spacing_mm) * ((hu < _BONE_HU) & ~airways)
    return labels


def _sides(aerated: BoolArray, middle: float, spacing_mm: Spacing) -> LungLabels:
    """Tell right from left; lungs that touch, at the front of the mediastinum, are cut where they are thinnest."""
    seeds = _two_sides(aerated, middle)
    if seeds is None:
        depth = ndimage.distance_transform_edt(aerated, sampling=spacing_mm)
        for cut in np.arange(1.0, _DEEPEST_CUT_MM):
            seeds = _two_sides(depth > cut, middle)
            if seeds is not None:
                break
        else:
            columns = np.arange(aerated.shape[2]) < middle
            seeds = np.where(columns, RIGHT, LEFT).astype(np.uint8) * aerated
    nearest = ndimage.distance_transform_edt(
        seeds == 0, sampling=spacing_mm, return_distances=False, return_indices=True
    )
    labels: LungLabels = seeds[tuple(nearest)] * aerated
    return labels


def _two_sides(mask: BoolArray, middle: float) -> LungLabels | None:
    """Label the components by the side of the body on which they lie; None where one lies on both."""
    components, count = ndimage.label(mask)
    labels = np.zeros(mask.shape, np.uint8)
    total = float(mask.sum())
    for number in range(1, count + 1):
        component = components == number
        right = float(component[:, :, : round(middle)].sum())
        size = float(component.sum())
        if size < _SPECK_SHARE * total:
            continue
        if min(right, size - right) > _ACROSS_SHARE * size:
            return None
        labels[component] = RIGHT if 2 * right > size else LEFT
    return labels


def _close(sides: LungLabels, spacing_mm: Spacing) -> LungLabels:
    """Take in vessels, fissures and opacities inside each lung."""
    margin = [int(np.ceil(_CLOSING_MM / spacing)) + 1 for spacing in spacing_mm]
    closed = np.zeros_like(sides)
    # What closing adds lies within the box of a lung: distances are measured there alone.
    for side, box in enumerate(ndimage.find_objects(sides), start=1):
        if box is None:
            continue
        lung = np.pad(sides[box] == side, [(m, m) for m in margin])
        grown = ndimage.distance_transform_edt(~lung, sampling=spacing_mm) <= _CLOSING_MM
        whole = ndimage.distance_transform_edt(grown, sampling=spacing_mm) > _CLOSING_MM
        inside = tuple(slice(m, -m) for m in margin)
        whole = np.stack([ndimage.binary_fill_holes(plane) for plane in (whole | lung)[inside]])
        closed[box][whole & (closed[box] == 0) & (sides[box] != LEFT + RIGHT - side)] = side
    return closed


def _enlarge(labels: LungLabels, shape: tuple[int, ...], steps: list[int]) -> LungLabels:
    """Bring labels from every so many voxels to all of them, with smooth outlines."""
    whole = np.zeros(shape, np.uint8)
    for side in (RIGHT, LEFT):
        # Strided samples are the centres of their voxels' first corner: the last steps lie beyond them.
        stretched = resize(
            (labels == side).astype(np.float32), tuple(n * s for n, s in zip(labels.shape, steps, strict=True))
        )
        shift = [step // 2 for step in steps]
        part = np.pad(stretched, [(0, s) for s in shift], mode="edge")
        inside = tuple(slice(s, s + n) for s, n in zip(shift, shape, strict=True))
        whole[part[inside] >= 0.5] = side
    return whole
