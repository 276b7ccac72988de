"""Perlin noise by a loop over rows and columns.

The published code calls a C function for each pixel in such a loop, which takes about 24 ms a field of
128 x 128. That library cannot be installed without a compiler, so the whole of it is Python here.
"""

from math import floor, fmod

import numpy as np
from numpy.typing import NDArray

from covidctnet import perlin

PUBLISHED_MS = 24.0
"""A field of 128 x 128 by the published loop around a C function, two-core machine."""

_HASH: list[int] = perlin._MEMORY.tolist()
_GRADIENT_OF: list[tuple[int, int]] = [gradient[:2] for gradient in perlin._GRADIENTS]


def loop_field(
    size: tuple[int, int],
    *,
    scale: float,
    octaves: int,
    persistence: float,
    lacunarity: float,
    period: int,
    base: int,
) -> NDArray[np.float32]:
    """The same field as `covidctnet.perlin.perlin_field`, one pixel after the other."""
    field = np.empty(size, np.float32)
    for row in range(size[0]):
        for column in range(size[1]):
            total = weights = 0.0
            frequency = amplitude = 1.0
            for _ in range(octaves):
                x, y = row / scale * frequency, column / scale * frequency
                total += amplitude * _noise(x, y, period * frequency, base)
                weights += amplitude
                frequency *= lacunarity
                amplitude *= persistence
            field[row, column] = total / weights
    return field


def _noise(x: float, y: float, period: float, base: int) -> float:
    left, low = floor(fmod(x, period)), floor(fmod(y, period))
    right, high = (int(fmod(left + 1, period)) & 255) + base, (int(fmod(low + 1, period)) & 255) + base
    left, low = (left & 255) + base, (low & 255) + base
    x, y = x - floor(x), y - floor(y)
    fade_x, fade_y = x * x * x * (x * (x * 6 - 15) + 10), y * y * y * (y * (y * 6 - 15) + 10)

    def corner(column: int, row: int, dx: float, dy: float) -> float:
        gx, gy = _GRADIENT_OF[_HASH[_HASH[_HASH[column] + row]] & 15]
        return gx * dx + gy * dy

    below = corner(left, low, x, y)
    below += fade_x * (corner(right, low, x - 1, y) - below)
    above = corner(left, high, x, y - 1)
    above += fade_x * (corner(right, high, x - 1, y - 1) - above)
    return below + fade_y * (above - below)
