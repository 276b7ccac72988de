"""Pneumonia in a phantom: the patterns that radiologists associate with Covid-19 and with CAP.

Covid-19: several rounded ground-glass areas, mostly both-sided, peripheral, posterior and basal, vessels
still visible in them, partly with a fine mesh. CAP: one or two lobar or segmental consolidations, mostly
one-sided, dense to the pleura, with air bronchograms and a softer border. Extent and density overlap
between the classes: neither lung volume nor mean density tells them apart by itself.
"""

import numpy as np

from covidctnet.labels import CAP, CONTROL, COVID
from covidctnet.phantom.anatomy import Chest
from covidctnet.phantom.grid import Field, Grid, smooth_field
from covidctnet.volume import BoolArray


def infect(chest: Chest, grid: Grid, label: int, rng: np.random.Generator) -> tuple[Field, BoolArray]:
    """Add the infection of a class.

    Returns:
        The chest in HU and where the infection is, both with axes (z, y, x); the mask is empty for Control.
    """
    hu, mask = chest.hu.copy(), np.zeros(grid.shape, dtype=bool)
    if label == CONTROL:
        return hu, mask
    draw = {COVID: _draw_ground_glass, CAP: _draw_consolidation}[label]
    draw(hu, mask, chest, grid, rng)
    return hu, mask


def _draw_ground_glass(hu: Field, mask: BoolArray, chest: Chest, grid: Grid, rng: np.random.Generator) -> None:
    one_sided = rng.random() < 0.15
    main_side = rng.choice([-1.0, 1.0])
    density = rng.uniform(-660, -420)
    for _ in range(int(rng.integers(5, 13))):
        side = main_side if one_sided else rng.choice([-1.0, 1.0])
        # Peripheral, posterior and basal areas are the likelier ones.
        z, y, x = np.nonzero(chest.lung & (chest.side == side) & (chest.rim > 0.68))
        if z.size == 0:
            continue
        height = z / chest.lung.shape[0]
        weight = np.exp(1.6 * y / chest.lung.shape[1] - 1.2 * height)
        seat = int(np.searchsorted(np.cumsum(weight), rng.random() * np.sum(weight)))
        centre = (z[seat], y[seat], x[seat])
        radii = rng.uniform(12, 30) * np.array([rng.uniform(0.8, 1.3), rng.uniform(0.7, 1.1), rng.uniform(0.7, 1.1)])
        window, opacity = _blob(chest, grid, rng, centre, radii, softness=0.35)
        mesh = 1.0 + rng.uniform(0.0, 0.35) * smooth_field(grid, rng, 9.0, window=window)
        _blend(hu, mask, window, opacity, target=density + 60.0 * (mesh - 1.0) / 0.35)


def _draw_consolidation(hu: Field, mask: BoolArray, chest: Chest, grid: Grid, rng: np.random.Generator) -> None:
    two_sided = rng.random() < 0.25
    side = rng.choice([-1.0, 1.0])
    for number in range(2 if two_sided else int(rng.integers(1, 3))):
        z, y, x = np.nonzero(chest.lung & (chest.side == (-side if two_sided and number else side)))
        if z.size == 0:
            continue
        seat = int(rng.integers(z.size))
        radii = rng.uniform(24, 46) * rng.uniform(0.75, 1.25, size=3)
        window, opacity = _blob(chest, grid, rng, (z[seat], y[seat], x[seat]), radii, softness=0.2)
        density = rng.uniform(-220, 10)
        bronchograms = np.clip(smooth_field(grid, rng, 22.0, window=window) - 1.3, 0, 1)
        _blend(hu, mask, window, opacity, target=density - 700.0 * bronchograms)


def _blob(
    chest: Chest,
    grid: Grid,
    rng: np.random.Generator,
    centre: tuple[int, int, int],
    radii: Field,
    *,
    softness: float,
) -> tuple[tuple[slice, slice, slice], Field]:
    middle = np.array([grid.z[centre[0], 0, 0], grid.y[0, centre[1], 0], grid.x[0, 0, centre[2]]])
    low, high = middle - 1.6 * radii, middle + 1.6 * radii
    window = grid.box((low[0], low[1], low[2]), (high[0], high[1], high[2]))
    z, y, x = grid.z[window[0]], grid.y[:, window[1]], grid.x[:, :, window[2]]
    distance = np.sqrt(
        ((z - middle[0]) / radii[0]) ** 2 + ((y - middle[1]) / radii[1]) ** 2 + ((x - middle[2]) / radii[2]) ** 2
    )
    ragged = distance + 0.16 * smooth_field(grid, rng, 26.0, window=window)
    # An area stays on its side: it does not cross the mediastinum.
    own = chest.lung[window] & (chest.side[..., window[2]] == chest.side[0, 0, centre[2]])
    return window, np.clip((1.0 - ragged) / softness + 0.5, 0.0, 1.0) * own


def _blend(hu: Field, mask: BoolArray, window: tuple[slice, slice, slice], opacity: Field, *, target: Field) -> None:
    part = hu[window]
    # Vessels are denser than ground glass and stay visible in it.
    part += opacity * np.maximum(target - part, 0.0)
    mask[window] |= opacity > 0.5
