"""Is this a chest, and are these Hounsfield units?"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from covidctnet.config import ReaderConfig
from covidctnet.errors import ImplausibleImageError
from covidctnet.lungs import segment_aerated
from covidctnet.volume import HUArray, Volume

_COARSE_MM = 4.0


def check_chest(volume: Volume, config: ReaderConfig) -> Volume:
    """Refuse what cannot be a chest CT in Hounsfield units; add warnings to what is doubtful.

    Raises:
        ImplausibleImageError: names the value seen and the one wanted.
    """
    depth, height, width = volume.extent_mm
    if depth < config.min_extent_z_mm:
        raise ImplausibleImageError(
            f"the scan covers {depth:.0f} mm from feet to head, less than {config.min_extent_z_mm:g}: no whole chest"
        )
    if min(height, width) < config.min_field_of_view_mm:
        raise ImplausibleImageError(
            f"the field of view is {height:.0f} x {width:.0f} mm, "
            f"less than {config.min_field_of_view_mm:g}: no whole chest"
        )
    steps = tuple(max(1, round(_COARSE_MM / spacing)) for spacing in volume.spacing_mm)
    coarse = volume.hu[:: steps[0], :: steps[1], :: steps[2]]
    if not np.isfinite(coarse).all():
        raise ImplausibleImageError("the volume holds values that are not numbers")
    _check_hounsfield_units(coarse, config)
    areas = segment_aerated(coarse).sum(axis=(1, 2))
    share = float(areas.sum() / max(1, areas.sum() + np.count_nonzero(coarse > -500)))
    if share < config.min_lung_fraction:
        raise ImplausibleImageError(
            f"lung fills {100 * share:.1f} % of the body, less than {100 * config.min_lung_fraction:g} %: not a chest"
        )
    return replace(volume, warnings=(*volume.warnings, *_doubts(volume, areas, config)))


def _check_hounsfield_units(hu: HUArray, config: ReaderConfig) -> None:
    low, high = float(np.percentile(hu, 1)), float(np.percentile(hu, 99.9))
    if low > config.max_air_hu:
        raise ImplausibleImageError(
            f"there is no air: 99 % of the values are above {low:.0f}; are these Hounsfield units?"
        )
    soft = float(np.mean((hu > -150) & (hu < 250)))
    if soft < config.min_soft_tissue_fraction:
        raise ImplausibleImageError(
            f"only {100 * soft:.1f} % of the values are those of soft tissue, -150..250 HU; are these Hounsfield units?"
        )
    if high < config.min_bone_hu:
        raise ImplausibleImageError(
            f"there is no bone: the highest values are {high:.0f} HU; are these Hounsfield units?"
        )


def _doubts(volume: Volume, areas: NDArray[np.int64], config: ReaderConfig) -> list[str]:
    doubts = []
    if volume.spacing_mm[0] > config.warn_slice_spacing_mm:
        doubts.append(f"slices are {volume.spacing_mm[0]:.1f} mm apart: small lesions may lie between them")
    if volume.hu.shape[0] < config.warn_slices:
        doubts.append(f"only {volume.hu.shape[0]} slices")
    if volume.extent_mm[0] > config.warn_extent_z_mm:
        doubts.append(f"the scan covers {volume.extent_mm[0]:.0f} mm from feet to head: more than a chest")
    for end, area in (("lowest", areas[0]), ("highest", areas[-1])):
        if area > config.warn_cut_lung * areas.max():
            share = 100 * area / areas.max()
            doubts.append(f"the lungs are cut off: {share:.0f} % of their largest area is in the {end} slice")
    return doubts
