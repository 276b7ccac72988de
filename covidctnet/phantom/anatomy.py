"""A synthetic chest in Hounsfield units: body wall, ribs, spine, heart, lungs, airways, liver, table.

Shapes are ellipsoids whose measures vary from patient to patient around those of an adult thorax, bent
by smooth random fields so that no two chests agree.
"""

from dataclasses import dataclass

import numpy as np

from covidctnet.phantom.draws import normal, uniform
from covidctnet.phantom.grid import Field, Grid, smooth_field
from covidctnet.phantom.skeleton import draw_bones
from covidctnet.phantom.vessels import draw_airways, draw_vessels
from covidctnet.volume import BoolArray

AIR, LUNG, FAT, MUSCLE, BLOOD, LIVER, TABLE = -1000, -860, -95, 45, 42, 58, -250
FISSURE = 160.0


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """One patient's measures in mm; z is 0 at the lowest point of the lungs."""

    half_width: float
    half_depth: float
    fat: float
    lung_height: float
    dome: float
    heart: float
    lung_hu: float
    dependent_hu: float
    rib_step: float
    lean: float
    fissure: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Anatomy":
        """Draw the measures of an adult."""
        size = normal(rng, 1.0, 0.07)
        return cls(
            half_width=_within(165 * size, 135, 190),
            half_depth=_within(112 * size * normal(rng, 1.0, 0.06), 88, 140),
            fat=uniform(rng, 6, 24),
            lung_height=_within(255 * normal(rng, 1.0, 0.09), 200, 310),
            dome=uniform(rng, 28, 60),
            heart=normal(rng, 1.0, 0.1),
            lung_hu=normal(rng, LUNG, 22),
            dependent_hu=uniform(rng, 15, 70),
            rib_step=uniform(rng, 24, 32),
            lean=normal(rng, 0, 6),
            fissure=uniform(rng, -12, 12),
        )


@dataclass(frozen=True, kw_only=True)
class Chest:
    """A chest on a grid.

    Attributes:
        hu: float64, axes (z, y, x).
        lung: where the lungs are, infected or not.
        rim: 0 at the axis of a lung, 1 at its costal surface; tells periphery from hilum.
        side: -1 in the patient's right half, 1 in the left, along x.
        above_fissure: mm above the oblique fissure, negative in the lower lobes.
        anatomy: the patient's measures.
    """

    hu: Field
    lung: BoolArray
    rim: Field
    side: Field
    above_fissure: Field
    anatomy: Anatomy


def build_chest(grid: Grid, anatomy: Anatomy, rng: np.random.Generator) -> Chest:
    """Lay the organs of one patient on the grid."""
    bend = 7.0 * smooth_field(grid, rng, 130.0)
    x = grid.x - anatomy.lean
    hu = np.full(grid.shape, float(AIR))
    _draw_table(hu, grid, anatomy)
    shoulders = 1.0 + 0.12 * np.clip((grid.z - 0.8 * anatomy.lung_height) / 60, 0, 1)
    surface = _ellipse(x, grid.y, anatomy.half_width, anatomy.half_depth) + bend / anatomy.half_width
    hu[surface < shoulders] = FAT
    muscle = surface < shoulders * (1.0 - anatomy.fat / anatomy.half_width)
    hu[muscle] = MUSCLE
    rim, side = _lung_rim(grid, anatomy, x, bend)
    heart = _heart(grid, anatomy, x)
    lung = _lungs(grid, anatomy, x, rim, bend, heart) & muscle
    draw_bones(hu, grid, anatomy, x, muscle)
    _draw_soft_organs(hu, grid, anatomy, x, rim, muscle, heart)
    # The oblique fissure rises from the front of the diaphragm to the fourth rib at the back.
    above_fissure = 0.77 * (grid.z - 0.36 * anatomy.lung_height - anatomy.fissure) - 0.64 * grid.y
    _fill_lungs(hu, grid, anatomy, lung, above_fissure, rng)
    draw_vessels(hu, grid, anatomy, lung, rng)
    draw_airways(hu, grid, anatomy, lung)
    return Chest(hu=hu, lung=lung, rim=rim, side=side, above_fissure=above_fissure, anatomy=anatomy)


def _fill_lungs(
    hu: Field, grid: Grid, anatomy: Anatomy, lung: BoolArray, above_fissure: Field, rng: np.random.Generator
) -> None:
    parenchyma = (
        anatomy.lung_hu
        + anatomy.dependent_hu * (grid.y / anatomy.half_depth)
        + 9.0 * smooth_field(grid, rng, 45.0)
        + 6.0 * smooth_field(grid, rng, 14.0)
    )
    # Thinner than a slice: a fissure shows with a share of its density.
    share = np.clip(1.0 - np.abs(above_fissure) / (0.5 * grid.slice_spacing_mm + 1.0), 0, 1)
    parenchyma += FISSURE / (grid.slice_spacing_mm + 1.0) * share
    np.copyto(hu, parenchyma, where=lung)


def _within(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _ellipse(x: Field, y: Field, a: float, b: float) -> Field:
    return np.sqrt((x / a) ** 2 + (y / b) ** 2)


def _lung_rim(grid: Grid, anatomy: Anatomy, x: Field, bend: Field) -> tuple[Field, Field]:
    side = np.where(x < 0, -1.0, 1.0)
    wall = anatomy.fat + 17.0
    a = 0.5 * (anatomy.half_width - wall) * 0.94
    b = (anatomy.half_depth - wall) * 0.93
    height = grid.z / anatomy.lung_height
    apex = np.clip((height - 0.3) / 0.72, 0, None)
    taper = np.sqrt(np.clip(1.0 - apex * apex * (0.6 + 0.4 * apex), 0.0004, None))
    centre = 1.06 * a
    rim = _ellipse(x - side * centre, grid.y - 2.0, a, b) / taper + bend / (2.2 * b)
    return rim, side


def _lungs(grid: Grid, anatomy: Anatomy, x: Field, rim: Field, bend: Field, heart: Field) -> BoolArray:
    height = grid.z / anatomy.lung_height
    away = np.abs(x) / (0.5 * anatomy.half_width) - 0.95
    dome = anatomy.dome * (1.0 - away**2 - (grid.y / anatomy.half_depth) ** 2) + 12.0 * (x < 0)
    midline = 20.0 + 10.0 * np.clip(1 - np.abs(height - 0.55) * 4, 0, 1)
    spine = _ellipse(x, grid.y - 0.62 * anatomy.half_depth, 31.0, 40.0)
    lung: BoolArray = (
        (rim < 1.0)
        & (grid.z > dome + bend)
        & (grid.z > 0)
        & (height < 1.0)
        & (heart > 1.06)
        & (np.abs(x) > midline)
        & (spine > 1.0)
    )
    return lung


def _heart(grid: Grid, anatomy: Anatomy, x: Field) -> Field:
    a, b, c = 62.0 * anatomy.heart, 46.0 * anatomy.heart, 62.0 * anatomy.heart
    low = anatomy.dome + 0.18 * anatomy.lung_height
    heart: Field = np.sqrt(
        ((x - 24.0) / a) ** 2 + ((grid.y + 0.28 * anatomy.half_depth) / b) ** 2 + ((grid.z - low) / c) ** 2
    )
    return heart


def _draw_table(hu: Field, grid: Grid, anatomy: Anatomy) -> None:
    top = anatomy.half_depth + 12.0 - 30.0 * (grid.x / 210.0) ** 2
    slab = (grid.y > top) & (grid.y < top + 9.0) & (np.abs(grid.x) < 205.0)
    hu[np.broadcast_to(slab, hu.shape)] = TABLE


def _draw_soft_organs(
    hu: Field, grid: Grid, anatomy: Anatomy, x: Field, rim: Field, muscle: BoolArray, heart: Field
) -> None:
    below = muscle & (rim < 1.05) & (grid.z < 0.5 * anatomy.lung_height)
    hu[below & (x < 25)] = LIVER
    hu[(heart < 1.0) & muscle] = BLOOD
    aorta = _ellipse(x - 16.0, grid.y - 0.36 * anatomy.half_depth, 12.0, 12.0)
    hu[(aorta < 1.0) & muscle] = BLOOD
