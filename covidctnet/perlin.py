"""Perlin noise that imitates infections on healthy slices (paper, Methods, "Perlin noise").

The field is classic two-dimensional Perlin noise (Perlin 2002, "Improving noise"), summed over octaves,
with the results of `pnoise2` in the C library that the published code calls, for every seed that it
draws. A seed is an offset into the library's table; see `_library_memory` for where that leads.
"""

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from covidctnet.config import NoiseConfig
from covidctnet.errors import ConfigError

_Float = NDArray[np.float64]
_Int = NDArray[np.int64]

# Perlin's permutation of 0..255.
_PERMUTATION = bytes.fromhex(
    "97a0895b5a0f830dc95f6035c2e907e18c24671e458e086325f0150a17be0694f778ea4b001ac53e5efcdbcb75230b20"
    "39b12158ed953857ae147d88aba844af4aa547868b301ba64d929ee7536fe57a3cd385e6dc695c29372ef528f4668f36"
    "41193fa101d85049d14c84bbd05912a9c8c4878274bc9f56a4646dc6adba034034d9e2fa7c7b05ca2693767eff5255d4"
    "cfce3be32f103a11b6bd1c2adfb7aad577f898022c9aa346dd99659ba72bac09811627fd13626c6e4f71e0e8b2b97068"
    "daf661e4fb22f2c1eed2900cbfb3a2f1513391ebf90eef6b31c0d61fb5c76a9db854ccb07379322d7f0496fe8aeccd5d"
    "de72431d1848f38d80c34e42d73d9cb4"
)

_GRADIENTS = (
    *((1, 1, 0), (-1, 1, 0), (1, -1, 0), (-1, -1, 0)),
    *((1, 0, 1), (-1, 0, 1), (1, 0, -1), (-1, 0, -1)),
    *((0, 1, 1), (0, -1, 1), (0, 1, -1), (0, -1, -1)),
    *((1, 0, -1), (-1, 0, -1), (0, -1, 1), (0, 1, 1)),
)


# Bytes of the library's help texts for one and two dimensions, each ended by zeros to a multiple of 8.
# Nothing reads them as text: the compiler placed them where seeds above 705 reach.
_TEXT_SECTION = bytes.fromhex(
    "6e6f6973653128782c206f6374617665733d312c2070657273697374656e63653d302e352c206c6163756e61726974793d32"
    "2e302c207265706561743d313032342c20626173653d302e30290a0a312064696d656e73696f6e616c207065726c696e2069"
    "6d70726f766564206e6f6973652066756e6374696f6e2028736565206e6f6973653320666f72206d6f726520696e666f2900"
    "00006e6f6973653228782c20792c206f6374617665733d312c2070657273697374656e63653d302e352c206c6163756e6172"
    "6974793d322e302c20726570656174783d313032342c20726570656174793d313032342c20626173653d302e30290a0a3220"
    "64696d656e73696f6e616c207065726c696e20696d70726f766564206e6f6973652066756e6374696f6e2028736565206e6f"
    "6973653320666f72206d6f726520696e666f2900"
)


def _library_memory() -> _Int:
    """Bytes that the library's hash meets: its permutation twice, then what the compiler put behind it.

    A seed above 1 can make it read past its table of 512 entries, into its gradients as float32 (first
    the four-dimensional ones, then the three-dimensional ones), then into its texts. Seeds of the
    published code go to 999, so most of its fields depend on those bytes. The order was found by fitting
    the golden fields, all of which it explains; another build of the library may have another.
    """
    signs = list(product((1.0, -1.0), repeat=3))
    four = [(*sign[:zero], 0.0, *sign[zero:]) for zero in range(4) for sign in signs]
    gradients = np.array(four, "<f4").tobytes() + np.array(_GRADIENTS, "<f4").tobytes()
    return np.frombuffer(2 * _PERMUTATION + gradients + _TEXT_SECTION, np.uint8).astype(np.int64)


_MEMORY = _library_memory()
_MAX_BASE = len(_MEMORY) - 512
# Gradient of a lattice point by the position of its hash in memory, so that one look-up suffices.
_HASHED = np.array(_GRADIENTS, np.float64)[_MEMORY[_MEMORY] & 15]
_GRADIENT_X, _GRADIENT_Y = _HASHED[:, 0].copy(), _HASHED[:, 1].copy()


def pseudo_infection(rng: np.random.Generator, size: tuple[int, int], config: NoiseConfig) -> NDArray[np.float32]:
    """Draw one field to be added to a slice, `config.weight` applied.

    Args:
        rng: source of scale, persistence and base, one draw each, in that order.
        size: (y, x) in pixels.
        config: half-open ranges and constants.

    Returns:
        Axes (y, x), mean near 0, mostly within -1..1 times the weight, not clipped.

    Raises:
        ConfigError: a range is empty or leads outside of what `perlin_field` takes.
    """
    for name in ("scale", "persistence_percent", "base"):
        low, high = getattr(config, name)
        if low >= high:
            raise ConfigError(f"noise.{name} must be a half-open range that holds a value, not ({low}, {high})")
    _check_base(config.base[0])
    _check_base(config.base[1] - 1)
    field = perlin_field(
        size,
        scale=float(rng.integers(*config.scale)),
        octaves=config.octaves,
        persistence=0.01 * int(rng.integers(*config.persistence_percent)),
        lacunarity=config.lacunarity,
        period=config.period,
        base=int(rng.integers(*config.base)),
    )
    return field * np.float32(config.weight)


def perlin_field(
    size: tuple[int, int],
    *,
    scale: float,
    octaves: int,
    persistence: float,
    lacunarity: float,
    period: int,
    base: int,
) -> NDArray[np.float32]:
    """Perlin noise at (row / scale, column / scale) of each pixel.

    Args:
        size: (y, x) in pixels.
        scale: pixels between lattice points of the first octave.
        octaves: number of summed fields; the sum is divided by the sum of their amplitudes.
        persistence: amplitude of each octave over that of the one before; may be negative.
        lacunarity: frequency of each octave over that of the one before.
        period: lattice points after which the first octave repeats.
        base: seed, an offset into the hash table, 0..1024.

    Returns:
        Axes (y, x), float32.

    Raises:
        ConfigError: scale or octaves is not positive, base is out of range, or the amplitudes add up to zero.
    """
    if not scale > 0:
        raise ConfigError(f"noise.scale must be positive, not {scale}")
    if octaves < 1:
        raise ConfigError(f"noise.octaves must be at least 1, not {octaves}")
    _check_base(base)
    # Products, not powers: those may differ in the last bit between processors.
    amplitudes = np.cumprod([1.0] + [persistence] * (octaves - 1), dtype=np.float64)
    total = float(amplitudes.sum())
    if abs(total) < 1e-9:
        raise ConfigError(f"noise of persistence {persistence} and {octaves} octaves has no amplitude")
    frequencies = np.cumprod([1.0] + [lacunarity] * (octaves - 1), dtype=np.float64)[:, None]
    rows, columns = (_lattice_axis(np.arange(side) / scale * frequencies, float(period) * frequencies) for side in size)
    field = np.zeros(size)
    scratch = _Scratch(size[0], 2 * size[1])
    for octave, amplitude in enumerate(amplitudes):
        _add_octave(field, float(amplitude), rows.octave(octave), columns.octave(octave), base, scratch)
    return (field / total).astype(np.float32)


def _check_base(base: int) -> None:
    if not 0 <= base <= _MAX_BASE:
        raise ConfigError(f"noise.base must lie in 0..{_MAX_BASE}, not {base}")


class _Axis(NamedTuple):
    """Where the pixels of one axis lie in the lattice, each of shape (octave, pixel) or (pixel,).

    Attributes:
        before: lattice point before the pixel, 0..255.
        behind: lattice point behind it, 0..255.
        distance: from the point before, 0..1.
        fade: weight of the point behind, 0..1.
    """

    before: _Int
    behind: _Int
    distance: _Float
    fade: _Float

    def octave(self, number: int) -> "_Axis":
        return _Axis(self.before[number], self.behind[number], self.distance[number], self.fade[number])


def _lattice_axis(coordinates: _Float, periods: _Float) -> _Axis:
    before = np.floor(np.fmod(coordinates, periods)).astype(np.int64)
    behind = np.fmod(before + 1, periods).astype(np.int64)
    t = coordinates - np.floor(coordinates)
    return _Axis(before & 255, behind & 255, t, t * t * t * (t * (t * 6 - 15) + 10))


class _Scratch:
    """Memory for intermediate results; asking the system for it in every octave doubled the time."""

    def __init__(self, rows: int, columns: int) -> None:
        self._hashes = np.empty((2, rows * columns), np.int64)
        self._values = np.empty((4, rows * columns))

    def shaped(self, rows: int, columns: int) -> tuple[_Int, _Float]:
        """Two integer and four float arrays of that shape."""
        used = rows * columns
        hashes, values = self._hashes[:, :used], self._values[:, :used]
        return hashes.reshape(2, rows, columns), values.reshape(4, rows, columns)


def _add_octave(field: _Float, amplitude: float, rows: _Axis, columns: _Axis, base: int, scratch: _Scratch) -> None:
    """Add one octave times its amplitude to the field."""
    # Many columns share a lattice point in low octaves: interpolate along the rows once for each of those.
    points, where = np.unique(np.concatenate([columns.before, columns.behind]), return_inverse=True)
    points += base
    low, high = where[: field.shape[1]], where[field.shape[1] :]
    low_weight, high_weight = amplitude * (1 - columns.fade), amplitude * columns.fade
    constant, slope = _along_rows(rows, points, base, scratch)
    spare = scratch.shaped(*field.shape)[1][3]
    for values, positions, weight in (
        (constant, low, low_weight),
        (slope, low, low_weight * columns.distance),
        (constant, high, high_weight),
        (slope, high, high_weight * (columns.distance - 1)),
    ):
        # The mode "clip" lets numpy write to `out` without a copy; no position is out of range.
        np.take(values, positions, axis=1, out=spare, mode="clip")
        spare *= weight
        field += spare


def _along_rows(rows: _Axis, points: _Int, base: int, scratch: _Scratch) -> tuple[_Float, _Float]:
    """Interpolate gradients between the lattice points of each row, at the columns' lattice points.

    Returns:
        Share of the value that does not depend on the column's distance, and the factor of that distance,
        both with axes (row, column's lattice point), in scratch memory.
    """
    (left, right), (constant, slope, spare, _) = scratch.shaped(len(rows.before), len(points))
    np.add(_MEMORY[rows.before + base][:, None], points, out=left)
    np.add(_MEMORY[rows.behind + base][:, None], points, out=right)
    distance, far = rows.distance[:, None], rows.fade[:, None]
    near = 1 - far
    for result, gradient, left_weight, right_weight in (
        (constant, _GRADIENT_X, near * distance, far * (distance - 1)),
        (slope, _GRADIENT_Y, near, far),
    ):
        np.take(gradient, left, out=result, mode="clip")
        result *= left_weight
        np.take(gradient, right, out=spare, mode="clip")
        spare *= right_weight
        result += spare
    return constant, slope
