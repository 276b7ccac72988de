"""Pulmonary vessels and airways as tapering tubes that branch from each hilum."""

from typing import TYPE_CHECKING

import numpy as np

from covidctnet.phantom.grid import Field, Grid
from covidctnet.volume import BoolArray

if TYPE_CHECKING:
    from covidctnet.phantom.anatomy import Anatomy

_VESSEL_HU = 40.0
_AIRWAY_HU = -985.0
_WALL_HU = -150.0


def draw_vessels(hu: Field, grid: Grid, anatomy: "Anatomy", lung: BoolArray, rng: np.random.Generator) -> None:
    """Draw a random vessel tree into both lungs, thin branches with their partial volume."""
    for side in (-1.0, 1.0):
        hilum = np.array([0.48 * anatomy.lung_height, 6.0, side * 34.0])
        for _ in range(9):
            direction = _unit(np.array([rng.normal(0, 1.0), rng.normal(0, 0.9), side * rng.uniform(0.4, 1.4)]))
            _branch(hu, grid, lung, rng, hilum, direction, radius=rng.uniform(3.5, 5.5), depth=4)


def _branch(
    hu: Field,
    grid: Grid,
    lung: BoolArray,
    rng: np.random.Generator,
    start: Field,
    direction: Field,
    *,
    radius: float,
    depth: int,
) -> None:
    end = start + direction * rng.uniform(18, 34)
    _draw_tube(hu, grid, start, end, radius, _VESSEL_HU, within=lung)
    if depth == 0:
        return
    for _ in range(2):
        turned = _unit(direction + rng.normal(0, 0.45, size=3))
        _branch(hu, grid, lung, rng, end, turned, radius=radius * rng.uniform(0.62, 0.8), depth=depth - 1)


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
        _draw_tube(hu, grid, start, end, radius, _AIRWAY_HU, within=None)


def _unit(vector: Field) -> Field:
    unit: Field = vector / np.sqrt(np.sum(vector**2))
    return unit


def _draw_tube(
    hu: Field, grid: Grid, start: Field, end: Field, radius: float, value: float, *, within: BoolArray | None
) -> None:
    pad = radius + max(grid.pixel_spacing_mm, grid.slice_spacing_mm)
    low, high = np.minimum(start, end) - pad, np.maximum(start, end) + pad
    window = grid.box((low[0], low[1], low[2]), (high[0], high[1], high[2]))
    part = hu[window]
    if part.size == 0:
        return
    z, y, x = grid.z[window[0]], grid.y[:, window[1]], grid.x[:, :, window[2]]
    axis = end - start
    along = ((z - start[0]) * axis[0] + (y - start[1]) * axis[1] + (x - start[2]) * axis[2]) / np.sum(axis**2)
    along = np.clip(along, 0.0, 1.0)
    squared = (
        (z - start[0] - along * axis[0]) ** 2
        + (y - start[1] - along * axis[1]) ** 2
        + (x - start[2] - along * axis[2]) ** 2
    )
    # The edge is as wide as a voxel: a vessel thinner than that shows with a share of its density.
    edge = 0.5 * (grid.pixel_spacing_mm + 0.5 * grid.slice_spacing_mm)
    share = np.clip((radius - np.sqrt(squared)) / edge + 0.5, 0.0, min(1.0, radius / edge))
    if within is not None:
        share = share * within[window]
    part += share * (value - part)
