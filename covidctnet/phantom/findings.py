"""Findings that are no pneumonia and occur in every class: nodules, scars, emphysema, pleural effusion."""

import numpy as np

from covidctnet.phantom.draws import chance, normals, side, uniform, unit_vector
from covidctnet.phantom.grid import smooth_field
from covidctnet.phantom.lesions import Canvas, draw_blob, draw_place, fill

_NODULES, _SCARS, _EMPHYSEMA = 0.25, 0.25, 0.2
_CALCIFIED = 0.2
_PERIPHERY = 0.7
_FLUID_HU, _EMPHYSEMA_HU = 12.0, -965.0


def draw_findings(canvas: Canvas, rng: np.random.Generator, *, effusion: float) -> None:
    """Draw what a patient has beside pneumonia; `effusion` is the probability of a pleural effusion."""
    if chance(rng, _EMPHYSEMA):
        _draw_emphysema(canvas, rng)
    if chance(rng, _NODULES):
        for _ in range(int(rng.integers(1, 4))):
            _draw_nodule(canvas, rng)
    if chance(rng, _SCARS):
        for _ in range(int(rng.integers(2, 6))):
            _draw_scar(canvas, rng)
    if chance(rng, effusion):
        main_side = side(rng)
        _draw_effusion(canvas, rng, main_side)
        if chance(rng, 0.3):
            _draw_effusion(canvas, rng, -main_side)


def _draw_nodule(canvas: Canvas, rng: np.random.Generator) -> None:
    place = draw_place(rng, canvas.chest.lung)
    if place is None:
        return
    radii = np.full(3, uniform(rng, 2.5, 9.0))
    window, opacity = draw_blob(canvas, rng, place, radii, softness=0.3, ragged=0.05)
    fill(canvas.hu, window, opacity, uniform(rng, 250, 500) if chance(rng, _CALCIFIED) else uniform(rng, -60, 60))
    canvas.finding[window] |= opacity > 0.5


def _draw_scar(canvas: Canvas, rng: np.random.Generator) -> None:
    """A band of linear fibrosis that starts at the pleura."""
    place = draw_place(rng, canvas.chest.lung & (canvas.chest.rim > _PERIPHERY))
    if place is None:
        return
    grid, middle = canvas.grid, canvas.position(place)
    length, thickness = uniform(rng, 14, 32), uniform(rng, 1.2, 2.6)
    low, high = middle - length, middle + length
    window = grid.box((low[0], low[1], low[2]), (high[0], high[1], high[2]))
    z = grid.z[window[0]] - middle[0]
    y, x = grid.y[:, window[1]] - middle[1], grid.x[:, :, window[2]] - middle[2]
    normal = unit_vector(normals(rng, 0.0, 1.0, 3))
    across = np.abs(z * normal[0] + (y * normal[1] + x * normal[2]))
    reach = np.sqrt(z * z + (y * y + x * x)) / length
    edge = 0.5 * (grid.pixel_spacing_mm + 0.5 * grid.slice_spacing_mm)
    share = np.clip((thickness - across) / edge + 0.5, 0.0, min(1.0, thickness / edge))
    opacity = share * np.clip((1.0 - reach) / 0.3, 0.0, 1.0) * canvas.chest.lung[window]
    fill(canvas.hu, window, opacity, uniform(rng, -350, -50))
    canvas.finding[window] |= opacity > 0.5


def _draw_emphysema(canvas: Canvas, rng: np.random.Generator) -> None:
    """Holes without tissue, more of them in the upper lobes."""
    chest, grid = canvas.chest, canvas.grid
    height = np.clip(grid.z / chest.anatomy.lung_height, 0.0, 1.0)
    holes = smooth_field(grid, rng, uniform(rng, 12, 20)) + 1.3 * height - uniform(rng, 1.6, 2.4)
    opacity = np.clip(2.0 * holes, 0.0, 1.0) * (chest.lung & ~canvas.infection)
    aerated = canvas.hu < -700.0
    canvas.hu += opacity * aerated * (_EMPHYSEMA_HU - canvas.hu)
    canvas.finding |= aerated & (opacity > 0.5)


def _draw_effusion(canvas: Canvas, rng: np.random.Generator, which: float) -> None:
    """Fluid behind and below a lung, thinner upwards."""
    chest, grid = canvas.chest, canvas.grid
    thickest, top = uniform(rng, 8, 38), uniform(rng, 0.3, 0.6) * chest.anatomy.lung_height
    lying = np.clip(1.0 - grid.z / top, 0.0, 1.0) * np.clip((grid.y + 25.0) / 60.0, 0.0, 1.4)
    from_surface = (1.0 - chest.rim) * (0.8 * chest.anatomy.half_depth)
    fluid = chest.lung & (chest.side == which) & (from_surface < thickest * lying)
    canvas.hu[fluid] = _FLUID_HU
    canvas.effusion |= fluid
    canvas.finding |= fluid
