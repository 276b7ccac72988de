"""Is this a chest, and are these Hounsfield units?"""

from dataclasses import replace

import numpy as np

from covidctnet.config import ReaderConfig
from covidctnet.errors import ImplausibleImageError
from covidctnet.lungs import segment_aerated
from covidctnet.volume import Volume

_COARSE_MM = 4.0
_THICK_MM = 5.0
_FEW_SLICES = 40


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
    _check_hounsfield_units(coarse)
    share = lung_share(coarse)
    if share < config.min_lung_fraction:
        raise ImplausibleImageError(
            f"lung fills {100 * share:.1f} % of the body, less than {100 * config.min_lung_fraction:g} %: not a chest"
        )
    return replace(volume, warnings=(*volume.warnings, *_doubts(volume)))


def lung_share(hu: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> float:
    """Share of aerated lung in the body, 0 to 1; Hounsfield units, axes (z, y, x)."""
    lung = int(segment_aerated(hu).sum())
    tissue = int((hu > -500).sum())
    return lung / max(1, lung + tissue)


def _check_hounsfield_units(hu: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    low, high = float(np.percentile(hu, 1)), float(np.percentile(hu, 99.9))
    if low > -800:
        raise ImplausibleImageError(
            f"there is no air: 99 % of the values are above {low:.0f}; are these Hounsfield units?"
        )
    soft = float(np.mean((hu > -150) & (hu < 250)))
    if soft < 0.05:
        raise ImplausibleImageError(
            f"only {100 * soft:.1f} % of the values are those of soft tissue, -150..250 HU; are these Hounsfield units?"
        )
    if high < 150:
        raise ImplausibleImageError(
            f"there is no bone: the highest values are {high:.0f} HU; are these Hounsfield units?"
        )


def _doubts(volume: Volume) -> list[str]:
    doubts = []
    if volume.spacing_mm[0] > _THICK_MM:
        doubts.append(f"slices are {volume.spacing_mm[0]:.1f} mm apart: small lesions may lie between them")
    if volume.hu.shape[0] < _FEW_SLICES:
        doubts.append(f"only {volume.hu.shape[0]} slices")
    return doubts
