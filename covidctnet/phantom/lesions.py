"""What infections and other findings are made of: a place in a lung, a ragged body, a blend into the image."""

from dataclasses import dataclass

import numpy as np

from covidctnet.phantom.anatomy import Chest
from covidctnet.phantom.draws import uniform
from covidctnet.phantom.grid import Field, Grid, Window, smooth_field
from covidctnet.volume import BoolArray

Place = tuple[int, int, int]
"""A voxel (z, y, x)."""


@dataclass(kw_only=True)
class Canvas:
    """An image that findings are drawn into, with masks of what was drawn.

    Attributes:
        hu: axes (z, y, x).
        infection: where pneumonia is.
        finding: where nodules, scars, emphysema and effusions are.
        effusion: where fluid took the lung's place.
    """

    chest: Chest
    grid: Grid
    hu: Field
    infection: BoolArray
    finding: BoolArray
    effusion: BoolArray

    @classmethod
    def of(cls, chest: Chest, grid: Grid) -> "Canvas":
        """A canvas with nothing drawn yet."""
        infection, finding, effusion = (np.zeros(grid.shape, dtype=bool) for _ in range(3))
        return cls(chest=chest, grid=grid, hu=chest.hu.copy(), infection=infection, finding=finding, effusion=effusion)

    def position(self, place: Place) -> Field:
        """The centre of a voxel as (z, y, x) in mm."""
        return np.array([self.grid.z[place[0], 0, 0], self.grid.y[0, place[1], 0], self.grid.x[0, 0, place[2]]])

    def side_of(self, place: Place) -> float:
        """-1 where a voxel is in the right half, 1 in the left."""
        return float(self.chest.side[0, 0, place[2]])


def draw_place(rng: np.random.Generator, where: BoolArray, weight: Field | None = None) -> Place | None:
    """Draw a voxel of a mask; None where it is empty.

    Args:
        rng: source.
        where: axes (z, y, x).
        weight: how likely each voxel is beside the others, broadcast to the mask's shape; equal when None.
    """
    z, y, x = np.nonzero(where)
    if z.size == 0:
        return None
    if weight is None:
        seat = int(rng.integers(z.size))
    else:
        sums = np.cumsum(np.broadcast_to(weight, where.shape)[z, y, x])
        seat = min(int(np.searchsorted(sums, float(rng.random()) * sums[-1])), z.size - 1)
    return int(z[seat]), int(y[seat]), int(x[seat])


def draw_blob(
    canvas: Canvas,
    rng: np.random.Generator,
    centre: Place,
    radii: Field,
    *,
    softness: float,
    ragged: float = 0.16,
) -> tuple[Window, Field]:
    """A ragged ellipsoid that does not cross the mediastinum.

    Args:
        canvas: the chest that it lies in.
        rng: source of its raggedness.
        centre: its middle voxel.
        radii: along (z, y, x) in mm.
        softness: width of its border as a share of the radius.
        ragged: how far the border strays, as a share of the radius.

    Returns:
        The window that holds it, and its opacity in the window, 0 to 1.
    """
    grid, chest = canvas.grid, canvas.chest
    middle = canvas.position(centre)
    low, high = middle - 1.6 * radii, middle + 1.6 * radii
    window = grid.box((low[0], low[1], low[2]), (high[0], high[1], high[2]))
    z, y, x = grid.z[window[0]], grid.y[:, window[1]], grid.x[:, :, window[2]]
    distance = np.sqrt(
        ((z - middle[0]) / radii[0]) ** 2 + (((y - middle[1]) / radii[1]) ** 2 + ((x - middle[2]) / radii[2]) ** 2)
    )
    if ragged > 0:
        distance += ragged * smooth_field(grid, rng, 26.0, window=window)
    own = chest.lung[window] & (chest.side[..., window[2]] == canvas.side_of(centre))
    return window, np.clip((1.0 - distance) / softness + 0.5, 0.0, 1.0) * own


def draw_radii(rng: np.random.Generator, low: float, high: float, flattening: float) -> Field:
    """Radii along (z, y, x) in mm that differ from each other by up to a share."""
    size = uniform(rng, low, high)
    return size * np.array([uniform(rng, 1.0 - flattening, 1.0 + flattening) for _ in range(3)])


def fill(hu: Field, window: Window, opacity: Field, density: float | Field) -> None:
    """Fill up to a density in HU; what is denser, as vessels are, stays visible."""
    part = hu[window]
    part += opacity * np.maximum(density - part, 0.0)
