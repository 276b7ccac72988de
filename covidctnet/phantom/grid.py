"""The voxel grid of a phantom, smooth random fields and smoothing on it.

Only additions, multiplications, divisions, square roots and roundings are used on the grid: IEEE 754 settles
them to the last bit, so that processors with other vector units give the same phantoms.
"""

from dataclasses import dataclass
from functools import cached_property
from math import ceil

import numpy as np
from numpy.typing import NDArray

from covidctnet.phantom.draws import normals, uniform, unit_vector

Field = NDArray[np.float64]
"""Values on a grid, axes (z, y, x)."""

_COSINE = (1.0, -19.739208, 64.939394, -85.456817, 60.244641, -26.406736, 7.806608, -1.460990)
"""Polynomial in t squared within 1e-5 of cos(2 pi t) for t from -0.5 to 0.5."""

_LATTICE_SHARE = 0.1
STRONGEST_PASS = 0.5
"""Greatest variance, in squared steps, that one binomial filter of `soften` adds."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Voxel centres in mm: x towards the patient's left, y towards the back, z towards the head."""

    slices: int
    matrix: int
    slice_spacing_mm: float
    pixel_spacing_mm: float
    bottom_mm: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along (z, y, x)."""
        return self.slices, self.matrix, self.matrix

    @cached_property
    def z(self) -> Field:
        """Heights, shape (slices, 1, 1)."""
        return (self.bottom_mm + self.slice_spacing_mm * np.arange(self.slices, dtype=np.float64))[:, None, None]

    @cached_property
    def y(self) -> Field:
        """Depths, shape (1, matrix, 1), zero at the centre of the field of view."""
        return self._across[None, :, None]

    @cached_property
    def x(self) -> Field:
        """Breadths, shape (1, 1, matrix), zero at the centre of the field of view."""
        return self._across[None, None, :]

    @property
    def _across(self) -> Field:
        return self.pixel_spacing_mm * (np.arange(self.matrix, dtype=np.float64) - (self.matrix - 1) / 2)

    def box(self, low: tuple[float, float, float], high: tuple[float, float, float]) -> tuple[slice, slice, slice]:
        """Indices of the voxels whose centres lie between two corners, given as (z, y, x) in mm."""

        def span(axis: Field, start: float, stop: float) -> slice:
            flat = axis.ravel()
            return slice(int(np.searchsorted(flat, start)), int(np.searchsorted(flat, stop, side="right")))

        return span(self.z, low[0], high[0]), span(self.y, low[1], high[1]), span(self.x, low[2], high[2])


Window = tuple[slice, slice, slice]


def cosine(turns: Field) -> Field:
    """cos(2 pi t) to 1e-5, by multiplications and additions alone.

    Args:
        turns: angles in whole turns.
    """
    squared = turns - np.rint(turns)
    squared *= squared
    total = np.full_like(squared, _COSINE[-1])
    for coefficient in reversed(_COSINE[:-1]):
        total *= squared
        total += coefficient
    return total


def smooth_field(
    grid: Grid,
    rng: np.random.Generator,
    wavelength_mm: float,
    *,
    waves: int = 6,
    window: tuple[slice, ...] = (),
) -> Field:
    """A random field of about unit standard deviation: a sum of plane waves of about one wavelength.

    It is evaluated on a lattice of a tenth of the wavelength, where that is coarser than the grid, and
    interpolated linearly.

    Args:
        grid: where it is evaluated.
        rng: source of the directions and phases.
        wavelength_mm: mean wavelength; each wave's is drawn within 40 % of it.
        waves: how many are added.
        window: three slices that restrict it to a part of the grid.
    """
    zs, ys, xs = window or (slice(None),) * 3
    axes = [grid.z[zs].ravel(), grid.y[:, ys].ravel(), grid.x[:, :, xs].ravel()]
    lattice = [_coarsen(axis, _LATTICE_SHARE * wavelength_mm) for axis in axes]
    z, y, x = lattice[0][:, None, None], lattice[1][None, :, None], lattice[2][None, None, :]
    total = np.zeros((z.size, y.size, x.size))
    for _ in range(waves):
        wave = unit_vector(normals(rng, 0.0, 1.0, 3)) / (wavelength_mm * uniform(rng, 0.6, 1.4))
        height = wave[0] * z + uniform(rng, 0.0, 1.0)
        plane = wave[1] * y + wave[2] * x
        # cos(a + b) from lines and planes: no polynomial a voxel.
        total += cosine(height) * cosine(plane) - cosine(height - 0.25) * cosine(plane - 0.25)
    total *= (2.0 / waves) ** 0.5
    for number, (coarse, fine) in enumerate(zip(lattice, axes, strict=True)):
        total = _interpolate(total, coarse, fine, number)
    return total


def soften(values: Field, variance: float, axis: int) -> Field:
    """Blur along one axis by binomial filters.

    Args:
        values: axes (z, y, x).
        variance: of the blur, in squared steps of the axis.
        axis: 0, 1 or 2.
    """
    for _ in range(passes := ceil(variance / STRONGEST_PASS)):
        weight = 0.5 * variance / passes
        turned = np.moveaxis(values, axis, 0)
        blurred = np.empty_like(values)
        target = np.moveaxis(blurred, axis, 0)
        target[1:-1] = turned[:-2] + turned[2:]
        target[0], target[-1] = turned[0] + turned[1], turned[-1] + turned[-2]
        blurred *= weight
        blurred += (1.0 - 2.0 * weight) * values
        values = blurred
    return values


def _coarsen(axis: Field, step_mm: float) -> Field:
    if axis.size < 2 or axis[1] - axis[0] >= step_mm:
        return axis
    steps = ceil((axis[-1] - axis[0]) / step_mm) + 1
    coarse: Field = axis[0] + step_mm * np.arange(steps, dtype=np.float64)
    return coarse


def _interpolate(values: Field, coarse: Field, fine: Field, axis: int) -> Field:
    if coarse is fine:
        return values
    place = (fine - coarse[0]) / (coarse[1] - coarse[0])
    lower = np.clip(place.astype(np.int64), 0, coarse.size - 2)
    shape = [1, 1, 1]
    shape[axis] = fine.size
    share = (place - lower).reshape(shape)
    low: Field = np.take(values, lower, axis)
    high: Field = np.take(values, lower + 1, axis)
    high -= low
    high *= share
    high += low
    return high
