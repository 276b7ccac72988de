"""From Hounsfield units to slices between 0 and 1 (paper, Methods, "Preprocessing").

Resample to cubic voxels, keep the range that shows lungs, normalise it to 0..1, resize every slice.
Training and serving call the same function; it gives the same bytes on any number of threads.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covidctnet.config import PreprocessConfig
from covidctnet.errors import GeometryError, ImplausibleImageError
from covidctnet.interpolate import resample_linearly
from covidctnet.parallel import map_on_cores
from covidctnet.resize import resize
from covidctnet.volume import BoolArray, HUArray, UnitArray, Volume

MAX_VOXELS = 2**29
"""Voxels after resampling, 2 GiB of float32: above, the spacing in the header cannot be that of a chest."""

Triple = tuple[float, float, float]


def preprocess(volume: Volume, config: PreprocessConfig) -> UnitArray:
    """Make the slices that the denoiser reads.

    Args:
        volume: Hounsfield units, axes (z, y, x).
        config: spacing, range, interpolation, slice size.

    Returns:
        float32, axes (z, *config.slice_size), from 0 to 1; z has `config.spacing_mm[0]` between slices.

    Raises:
        ImplausibleImageError: the volume holds values that are no numbers.
        GeometryError: the volume would grow beyond `MAX_VOXELS`.
    """
    if not np.isfinite(volume.hu).all():
        count = int(np.count_nonzero(~np.isfinite(volume.hu)))
        raise ImplausibleImageError(f"{count} voxels hold no finite Hounsfield number; send the original series")
    slice_at, shape = _resampler(volume.hu, volume.spacing_mm, config.spacing_mm, config.interpolation)
    slices = np.empty((shape[0], *config.slice_size), np.float32)

    def make(number: int) -> None:
        # Slice by slice: it stays in the processor's cache, and no array of the resampled size is needed.
        slices[number] = resize_slices(normalise(slice_at(number)[None], config), config.slice_size)[0]

    map_on_cores(make, range(shape[0]))
    return slices


def to_hounsfield(slices: UnitArray, config: PreprocessConfig) -> HUArray:
    """Hounsfield units of preprocessed slices, same axes; what was outside of the range is lost."""
    return slices * np.float32(config.hu_max - config.hu_min) + np.float32(config.hu_min)


def preprocess_mask(mask: BoolArray, spacing_mm: Triple, config: PreprocessConfig) -> BoolArray:
    """Bring a mask onto the grid of the slices that `preprocess` makes of its volume.

    Args:
        mask: axes (z, y, x), True inside.
        spacing_mm: of the mask's volume along (z, y, x).
        config: as for the volume; the mask is always interpolated linearly, for a spline would overshoot.

    Returns:
        Axes (z, *config.slice_size), True where at least half of the pixel is inside.

    Raises:
        GeometryError: the mask is not three-dimensional, or would grow beyond `MAX_VOXELS`.
    """
    share = resample(mask.astype(np.float32), spacing_mm, config.spacing_mm, interpolation="linear")
    inside: BoolArray = resize_slices(share, config.slice_size) >= 0.5
    return inside


def resampled_shape(shape: tuple[int, ...], spacing_mm: Triple, new_spacing_mm: Triple) -> tuple[int, int, int]:
    """Voxels along (z, y, x) that cover the same extent with another spacing, at least 1 each."""
    depth, height, width = (
        max(1, round(count * old / new)) for count, old, new in zip(shape, spacing_mm, new_spacing_mm, strict=True)
    )
    return depth, height, width


def resample(hu: HUArray, spacing_mm: Triple, new_spacing_mm: Triple, *, interpolation: str) -> HUArray:
    """Resample to another voxel spacing; the first and last voxel's outer faces stay where they are.

    The number of voxels is rounded and the spacing then fits the extent exactly, so it may differ from the
    wanted one by half a voxel over the whole axis. Beyond the outermost voxel centres the nearest value
    holds, so no border appears.

    Args:
        hu: float32, axes (z, y, x).
        spacing_mm: of `hu`, along (z, y, x).
        new_spacing_mm: wanted, along (z, y, x).
        interpolation: "linear", or "bspline" of order 3, which overshoots at sharp edges.

    Raises:
        GeometryError: `hu` is not three-dimensional, or the result would exceed `MAX_VOXELS`.
    """
    slice_at, shape = _resampler(hu, spacing_mm, new_spacing_mm, interpolation)
    return np.stack([slice_at(number) for number in range(shape[0])])


def _resampler(
    hu: HUArray, spacing_mm: Triple, new_spacing_mm: Triple, interpolation: str
) -> tuple[Callable[[int], HUArray], tuple[int, int, int]]:
    """A function that gives the resampled slice of a number, and the resampled shape; see `resample`."""
    if hu.ndim != 3:
        raise GeometryError(f"expected axes (z, y, x), not an array of shape {hu.shape}")
    shape = resampled_shape(hu.shape, spacing_mm, new_spacing_mm)
    if np.prod(shape, dtype=np.float64) > MAX_VOXELS:
        raise GeometryError(
            f"{hu.shape} voxels of {spacing_mm} mm would become {shape} of {new_spacing_mm} mm, more than "
            f"{MAX_VOXELS}; check the spacing in the headers or send the chest alone"
        )
    if shape == hu.shape:
        return hu.__getitem__, shape
    if interpolation == "linear":
        return resample_linearly(hu, shape), shape
    return _spline(hu, shape).__getitem__, shape


def _spline(hu: HUArray, shape: tuple[int, int, int]) -> HUArray:
    import SimpleITK as sitk  # noqa: N813

    # In units of input voxels the geometry needs no millimetres: voxel i's centre lies at i.
    steps = [old / new for old, new in zip(hu.shape, shape, strict=True)]
    resampler: Any = sitk.ResampleImageFilter()
    resampler.SetSize([int(size) for size in reversed(shape)])
    resampler.SetOutputSpacing(list(reversed(steps)))
    resampler.SetOutputOrigin([step / 2 - 0.5 for step in reversed(steps)])
    resampler.SetInterpolator(sitk.sitkBSpline3)
    resampler.UseNearestNeighborExtrapolatorOn()
    resampler.SetOutputPixelType(sitk.sitkFloat32)
    resampled: HUArray = sitk.GetArrayFromImage(resampler.Execute(sitk.GetImageFromArray(hu)))
    return resampled


def normalise(hu: HUArray, config: PreprocessConfig) -> UnitArray:
    """Keep `hu_min`..`hu_max` and map it to 0..1.

    With `range_handling` "clip" values outside become the nearer limit (the paper's text); with "air"
    values above and below become `hu_min`, so that dense bone turns into air (its published code).
    """
    low, high = np.float32(config.hu_min), np.float32(config.hu_max)
    if config.range_handling == "air":
        hu = np.where(hu > high, low, hu)
    unit: NDArray[np.float32] = (np.clip(hu, low, high) - low) / (high - low)
    return unit


def resize_slices(slices: NDArray[np.float32], slice_size: tuple[int, int]) -> NDArray[np.float32]:
    """Resize every slice with anti-aliasing, axes (z, y, x); z and the range 0..1 stay."""
    resized = resize(slices, (len(slices), *slice_size))
    return np.clip(resized, np.float32(0), np.float32(1))
