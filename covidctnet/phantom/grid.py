"""The voxel grid of a phantom and smooth random fields on it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]
"""Values on a grid, axes (z, y, x). Phantoms are computed in float64 and rounded to whole HU, so that
processors with other vector units give the same bytes."""


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


def smooth_field(
    grid: Grid,
    rng: np.random.Generator,
    wavelength_mm: float,
    *,
    waves: int = 6,
    window: tuple[slice, ...] = (),
) -> Field:
    """A random field of unit standard deviation: a sum of plane waves of about one wavelength.

    Args:
        grid: where it is evaluated.
        rng: source of the directions and phases.
        wavelength_mm: mean wavelength; each wave's is drawn within 40 % of it.
        waves: how many are added.
        window: three slices that restrict it to a part of the grid.
    """
    zs, ys, xs = window or (slice(None),) * 3
    z, y, x = grid.z[zs], grid.y[:, ys], grid.x[:, :, xs]
    total = np.zeros(np.broadcast_shapes(z.shape, y.shape, x.shape))
    for _ in range(waves):
        direction = rng.normal(size=3)
        wave = direction / np.linalg.norm(direction) * (2 * np.pi / (wavelength_mm * rng.uniform(0.6, 1.4)))
        phase = rng.uniform(0, 2 * np.pi)
        # cos(a + b) from one-dimensional sines and cosines: no transcendental function a voxel.
        plane = wave[1] * y + wave[2] * x
        height = wave[0] * z + phase
        total += np.cos(height) * np.cos(plane) - np.sin(height) * np.sin(plane)
    total *= np.sqrt(2.0 / waves)
    return total
