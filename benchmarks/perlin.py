"""How much faster the vectorised Perlin noise is than a loop over pixels of the same function.

Run `python benchmarks/perlin.py`; it prints the medians of several runs and their ratio.
"""

import statistics
import time
from collections.abc import Callable
from math import floor, fmod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covidctnet import perlin

SIZE = (128, 128)
FIELD: dict[str, Any] = {
    "scale": 20.0,
    "octaves": 10,
    "persistence": 0.3,
    "lacunarity": 2.0,
    "period": 140,
    "base": 321,
}
LOOP_RUNS, VECTOR_RUNS = 5, 50

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


def median_seconds(make: Callable[..., Any], runs: int) -> float:
    """Median wall time of one field, after one run that does not count."""
    make(SIZE, **FIELD)
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        make(SIZE, **FIELD)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Check that both agree, time them, print the ratio."""
    difference = float(np.abs(np.subtract(loop_field(SIZE, **FIELD), perlin.perlin_field(SIZE, **FIELD))).max())
    if difference > 1e-6:
        raise SystemExit(f"the two differ by {difference:g}: there is nothing to compare")
    loop = median_seconds(loop_field, LOOP_RUNS)
    vector = median_seconds(perlin.perlin_field, VECTOR_RUNS)
    print(f"loop over pixels  {loop * 1e3:9.2f} ms a field {SIZE[0]} x {SIZE[1]}, median of {LOOP_RUNS}")
    print(f"vectorised        {vector * 1e3:9.2f} ms, median of {VECTOR_RUNS}")
    print(f"ratio             {loop / vector:9.0f}")


if __name__ == "__main__":
    main()
