"""Ribs, spine and sternum of a phantom."""

from typing import TYPE_CHECKING

import numpy as np

from covidctnet.phantom.grid import Field, Grid
from covidctnet.volume import BoolArray

if TYPE_CHECKING:
    from covidctnet.phantom.anatomy import Anatomy

_MARROW, _CORTEX, _DISC = 180, 650, 90


def draw_bones(hu: Field, grid: Grid, anatomy: "Anatomy", x: Field, muscle: BoolArray) -> None:
    """Draw the bones that lie within the muscle; `x` is measured from the patient's midline."""
    _draw_ribs(hu, grid, anatomy, x, muscle)
    middle = grid.y - 0.55 * anatomy.half_depth
    body = _ellipse(x, middle, 20.0, 16.0)
    canal = _ellipse(x, middle - 26.0, 9.0, 8.0)
    disc = np.mod(grid.z, 26.0) < 6.0
    hu[(body < 1.0) & ~disc & muscle] = _CORTEX
    hu[(body < 0.86) & ~disc & muscle] = _MARROW
    hu[(body < 1.0) & disc & muscle] = _DISC
    hu[(canal < 1.6) & (canal >= 1.0) & muscle] = _CORTEX
    # Transverse processes, at the height of each vertebra's upper half.
    process = (np.abs(middle - 20.0) < 4.5) & (np.abs(x) > 10.0) & (np.abs(x) < 30.0)
    hu[process & (np.mod(grid.z - 12.0, 26.0) < 9.0) & muscle] = _MARROW + _DISC
    sternum = _ellipse(x, grid.y + 0.88 * (anatomy.half_depth - anatomy.fat), 16.0, 6.0)
    hu[(sternum < 1.0) & (grid.z > 0.35 * anatomy.lung_height) & muscle] = _MARROW + 120


def _draw_ribs(hu: Field, grid: Grid, anatomy: "Anatomy", x: Field, muscle: BoolArray) -> None:
    wall = anatomy.fat + 11.0
    ring = _ellipse(x, grid.y, anatomy.half_width - wall, anatomy.half_depth - wall)
    across = (ring - 1.0) * (anatomy.half_depth / 4.5)
    near = muscle & (np.abs(across) < 1.0) & (grid.y > -0.86 * anatomy.half_depth)
    z, y, column = np.nonzero(near)
    # Ribs fall from the spine to the front: their height follows y.
    height = grid.z[z, 0, 0] + 0.5 * grid.y[0, y, 0]
    phase = (np.mod(height + 4.0, anatomy.rib_step) - anatomy.rib_step / 2) / 6.0
    squared = phase * phase + across[0, y, column] * across[0, y, column]
    values = hu[near]
    values[squared < 1.0] = _CORTEX
    values[squared < 0.36] = _MARROW
    hu[near] = values


def _ellipse(x: Field, y: Field, a: float, b: float) -> Field:
    return np.sqrt((x / a) ** 2 + (y / b) ** 2)
