"""Perlin noise that imitates infections on healthy slices (paper, Methods, "Perlin noise").

The field is classic two-dimensional Perlin noise (Perlin 2002, "Improving noise"), summed over octaves,
with the results of `pnoise2` in the C library that the published code calls, for every seed that it
draws. A seed is an offset into the library's table; see `_library_memory` for where that leads.
"""

from itertools import product

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


def pseudo_infection(
    rng: np.random.Generator, size: tuple[int, int], config: NoiseConfig
) -> NDArray[np.float32]:
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
            raise ConfigError(
                f"noise.{name} must be a half-open range that holds a value, not ({low}, {high})"
            )
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
        ConfigError: scale is not positive, base is out of range, or the amplitudes add up to zero.
    """
    if not scale > 0:
        raise ConfigError(f"noise.scale must be positive, not {scale}")
    _check_base(base)
    amplitudes = [float(persistence) ** octave for octave in range(octaves)]
    total = sum(amplitudes)
    if abs(total) < 1e-9:
        raise ConfigError(f"noise of persistence {persistence} and {octaves} octaves has no amplitude")
    rows, columns = (np.arange(side) / scale for side in size)
    field = np.zeros(size)
    for octave, amplitude in enumerate(amplitudes):
        frequency = lacunarity**octave
        field += amplitude * _octave(rows * frequency, columns * frequency, period * frequency, base)
    return (field / total).astype(np.float32)


def _check_base(base: int) -> None:
    if not 0 <= base <= _MAX_BASE:
        raise ConfigError(f"noise.base must lie in 0..{_MAX_BASE}, not {base}")


def _octave(x: _Float, y: _Float, period: float, base: int) -> _Float:
    """One octave at all pairs of coordinates x (rows) and y (columns), in lattice units."""
    left, right, u, fade_u = _axis(x, period)
    low, high, v, fade_v = _axis(y, period)
    # Many columns share a lattice point in low octaves: interpolate along x once for each of those.
    lattice, where = np.unique(np.concatenate([low, high]), return_inverse=True)
    at_low, at_high = where[: len(y)], where[len(y) :]
    hashed_left = _MEMORY[left + base][:, None] + (lattice + base)
    hashed_right = _MEMORY[right + base][:, None] + (lattice + base)
    fade, u = fade_u[:, None], u[:, None]
    along_x = (1 - fade) * u * _GRADIENT_X[hashed_left] + fade * (u - 1) * _GRADIENT_X[hashed_right]
    along_y = (1 - fade) * _GRADIENT_Y[hashed_left] + fade * _GRADIENT_Y[hashed_right]
    below = np.take(along_x, at_low, axis=1) + v * np.take(along_y, at_low, axis=1)
    above = np.take(along_x, at_high, axis=1) + (v - 1) * np.take(along_y, at_high, axis=1)
    field: _Float = below + fade_v * (above - below)
    return field


def _axis(coordinate: _Float, period: float) -> tuple[_Int, _Int, _Float, _Float]:
    """Lattice points before and behind each coordinate, the distance to the first, and its fade."""
    before = np.floor(np.fmod(coordinate, period)).astype(np.int64)
    behind = np.fmod(before + 1, period).astype(np.int64)
    t = coordinate - np.floor(coordinate)
    fade = t * t * t * (t * (t * 6 - 15) + 10)
    return before & 255, behind & 255, t, fade
