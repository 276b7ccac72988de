"""CAP in a phantom: consolidation of a lobe or a segment, dense to pleura and fissure, with air bronchograms.

Mostly one-sided. In some patients it is bronchopneumonia: several patches, less dense, that resemble the
ground glass of Covid-19 but follow the bronchi instead of the periphery.
"""

import numpy as np

from covidctnet.phantom.draws import chance, side, uniform, unit_vector
from covidctnet.phantom.grid import smooth_field
from covidctnet.phantom.lesions import Canvas, Place, draw_blob, draw_place, draw_radii, fill
from covidctnet.phantom.vessels import AIRWAY_HU, draw_tree, find_hilum

_TWO_SIDED, _PATCHY, _LOBAR = 0.3, 0.15, 0.6
_CENTRAL = 0.85
_BRONCHI = 3


def draw_consolidations(canvas: Canvas, rng: np.random.Generator) -> None:
    """Draw the consolidations of one patient."""
    two_sided, main_side = chance(rng, _TWO_SIDED), side(rng)
    patchy = chance(rng, _PATCHY)
    count = int(rng.integers(4, 8)) if patchy else max(int(rng.integers(1, 3)), 1 + two_sided)
    central = canvas.chest.lung & (canvas.chest.rim < _CENTRAL)
    for number in range(count):
        own = canvas.chest.side == (-main_side if two_sided and number % 2 else main_side)
        place = draw_place(rng, (central if patchy else canvas.chest.lung) & own)
        if place is None:
            continue
        if patchy:
            _draw_area(canvas, rng, place, (9.0, 18.0), density=uniform(rng, -480, -180), lobar=False)
        else:
            _draw_area(canvas, rng, place, (24.0, 46.0), density=uniform(rng, -260, 10), lobar=chance(rng, _LOBAR))


def _draw_area(
    canvas: Canvas, rng: np.random.Generator, place: Place, size: tuple[float, float], *, density: float, lobar: bool
) -> None:
    chest, grid = canvas.chest, canvas.grid
    window, opacity = draw_blob(canvas, rng, place, draw_radii(rng, *size, 0.25), softness=0.25)
    if lobar:
        # The fissure stops it.
        above = chest.above_fissure[window[0], window[1]]
        lower = chest.above_fissure[place[0], place[1], 0] < 0
        opacity *= (above < 0) if lower else (above >= 0)
    texture = smooth_field(grid, rng, 22.0, window=window)
    fill(canvas.hu, window, opacity, density + 35.0 * texture - 500.0 * np.clip(texture - 1.5, 0, 1))
    area = opacity > 0.5
    canvas.infection[window] |= area
    inside = np.zeros(grid.shape, dtype=bool)
    inside[window] = area
    # Bronchi that still hold air run from the hilum into the airless lung.
    hilum = find_hilum(chest.anatomy, canvas.side_of(place))
    inwards = unit_vector(canvas.position(place) - hilum)
    start = canvas.position(place) - inwards * size[0]
    for _ in range(_BRONCHI):
        turned = unit_vector(inwards + np.array([uniform(rng, -0.5, 0.5) for _ in range(3)]))
        draw_tree(canvas.hu, grid, inside, rng, start, turned, radius=uniform(rng, 1.6, 3.0), depth=2, value=AIRWAY_HU)
