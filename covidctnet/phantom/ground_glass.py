"""Covid-19 in a phantom: rounded ground glass, mostly both-sided, peripheral, posterior and basal.

Some patients have it on one side, some so faint that it hardly differs from the lung, some with crazy paving
(a mesh of thickened septa) or with denser cores.
"""

import numpy as np

from covidctnet.phantom.draws import chance, side, uniform
from covidctnet.phantom.grid import smooth_field
from covidctnet.phantom.lesions import Canvas, draw_blob, draw_place, draw_radii, fill

_ONE_SIDED, _FAINT, _PAVED, _CORED = 0.2, 0.2, 0.4, 0.25
_PERIPHERY = 0.68
_SEPTA_MM = 11.0


def draw_ground_glass(canvas: Canvas, rng: np.random.Generator) -> None:
    """Draw the ground glass of one patient."""
    chest = canvas.chest
    one_sided, main_side = chance(rng, _ONE_SIDED), side(rng)
    density = uniform(rng, -770, -700) if chance(rng, _FAINT) else uniform(rng, -680, -420)
    septa = uniform(rng, 90, 220) if chance(rng, _PAVED) else 0.0
    core = uniform(rng, 100, 260) if chance(rng, _CORED) else 0.0
    height = np.arange(canvas.grid.slices)[:, None, None] / canvas.grid.slices
    depth = np.arange(canvas.grid.matrix)[None, :, None] / canvas.grid.matrix
    # Peripheral, posterior and basal areas are the likelier ones.
    weight = (0.2 + depth) * (0.2 + depth) * (1.4 - height)
    periphery = chest.lung & (chest.rim > _PERIPHERY)
    for _ in range(int(rng.integers(5, 13))):
        own = chest.side == (main_side if one_sided else side(rng))
        place = draw_place(rng, periphery & own, weight)
        if place is None:
            continue
        window, opacity = draw_blob(canvas, rng, place, draw_radii(rng, 11, 30, 0.28), softness=0.35)
        target = density + 30.0 * smooth_field(canvas.grid, rng, 9.0, window=window)
        if septa:
            mesh = smooth_field(canvas.grid, rng, _SEPTA_MM, window=window)
            target += septa * np.clip(1.0 - 3.0 * np.abs(mesh), 0.0, 1.0)
        if core:
            target += core * np.clip(2.0 * opacity - 1.0, 0.0, 1.0) * opacity
        fill(canvas.hu, window, opacity, target)
        canvas.infection[window] |= opacity > 0.5
