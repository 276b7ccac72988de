"""Pulmonary vessels and airways as tapering tubes that branch from each hilum."""

from typing import TYPE_CHECKING

import numpy as np

from covidctnet.phantom.draws import normal, normals, uniform, unit_vector
from covidctnet.phantom.grid import Field, Grid
from covidctnet.volume import BoolArray

if TYPE_CHECKING:
    from covidctnet.phantom.anatomy import Anatomy

AIRWAY_HU = -985.0
_VESSEL_HU = 40.0
_WALL_HU = -150.0
_TRUNKS = 9


def draw_vessels(hu: Field, grid: Grid, anatomy: "Anatomy", lung: BoolArray, rng: np.random.Generator) -> None:
    """Draw a random vessel tree into both lungs, thin branches with their partial volume."""
    for side in (-1.0, 1.0):
        hilum = find_hilum(anatomy, side)
        for _ in range(_TRUNKS):
            direction = unit_vector([normal(rng, 0, 1.0), normal(rng, 0, 0.9), side * uniform(rng, 0.4, 1.4)])
            draw_tree(hu, grid, lung, rng, hilum, direction, radius=uniform(rng, 3.5, 5.5), depth=4, value=_VESSEL_HU)


def find_hilum(anatomy: "Anatomy", side: float) -> Field:
    """Where vessels and bronchi enter a lung, as (z, y, x) in mm."""
    return np.array([0.48 * anatomy.lung_height, 6.0, side * 34.0])


def draw_tree(
    hu: Field,
    grid: Grid,
    within: BoolArray,
    rng: np.random.Generator,
    start: Field,
    direction: Field,
    *,
    radius: float,
    depth: int,
    value: float,
) -> None:
    """Draw a tube that forks `depth` times, each time thinner.

    Args:
        hu: drawn into, axes (z, y, x).
        grid: of the voxels.
        within: where the tubes may lie.
        rng: source of lengths and turns.
        start: (z, y, x) in mm.
        direction: of unit length, (z, y, x).
        radius: of the first tube in mm.
        depth: how often it forks.
        value: HU inside.
    """
    end = start + direction * uniform(rng, 18, 34)
    _draw_tube(hu, grid, start, end, radius, value, within=within)
    if depth == 0:
        return
    for _ in range(2):
        turned = unit_vector(direction + normals(rng, 0, 0.45, 3))
        thinner = radius * uniform(rng, 0.62, 0.8)
        draw_tree(hu, grid, within, rng, end, turned, radius=thinner, depth=depth - 1, value=value)


def draw_airways(hu: Field, grid: Grid, anatomy: "Anatomy", lung: BoolArray) -> None:
    """Draw the trachea and the main bronchi with their walls."""
    carina = np.array([0.62 * anatomy.lung_height, 4.0, anatomy.lean])
    top = np.array([1.15 * anatomy.lung_height, -4.0, anatomy.lean])
    tubes = [(top, carina, 9.0)]
    for side in (-1.0, 1.0):
        hilum = np.array([0.5 * anatomy.lung_height, 8.0, side * 36.0])
        tubes.append((carina, hilum, 6.5))
        tubes.append((hilum, hilum + np.array([-30.0, 10.0, side * 22.0]), 3.8))
        tubes.append((hilum, hilum + np.array([26.0, -6.0, side * 20.0]), 3.5))
    for start, end, radius in tubes:
        _draw_tube(hu, grid, start, end, radius + 1.8, _WALL_HU, within=lung)
    for start, end, radius in tubes:
        _draw_tube(hu, grid, start, end, radius, AIRWAY_HU, within=None)


def _draw_tube(
    hu: Field, grid: Grid, start: Field, end: Field, radius: float, value: float, *, within: BoolArray | None
) -> None:
    pad = radius + max(grid.pixel_spacing_mm, grid.slice_spacing_mm)
    low, high = np.minimum(start, end) - pad, np.maximum(start, end) + pad
    window = grid.box((low[0], low[1], low[2]), (high[0], high[1], high[2]))
    part = hu[window]
    if part.size == 0 or not (within is None or within[window].any()):
        return
    z, y, x = grid.z[window[0]] - start[0], grid.y[:, window[1]] - start[1], grid.x[:, :, window[2]] - start[2]
    axis = end - start
    length = axis[0] * axis[0] + axis[1] * axis[1] + axis[2] * axis[2]
    along = np.clip((z * axis[0] + (y * axis[1] + x * axis[2])) / length, 0.0, 1.0)
    squared = (z - along * axis[0]) ** 2 + (y - along * axis[1]) ** 2 + (x - along * axis[2]) ** 2
    # The edge is as wide as a voxel: a vessel thinner than that shows with a share of its density.
    edge = 0.5 * (grid.pixel_spacing_mm + 0.5 * grid.slice_spacing_mm)
    share = np.clip((radius - np.sqrt(squared)) / edge + 0.5, 0.0, min(1.0, radius / edge))
    if within is not None:
        share = share * within[window]
    part += share * (value - part)
