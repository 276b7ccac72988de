"""Random draws that are the same to the last bit on every machine.

NumPy's generators give the same bits everywhere, but its normal deviates and the mathematical libraries' sines and
exponentials differ in the last digit between processors. Here everything comes from uniform numbers by additions
and multiplications, which IEEE 754 settles exactly.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_UNIFORMS = 12
_BYTES = 4
_BYTES_SPREAD = (_BYTES * (256**2 - 1) / 12) ** 0.5


def uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between two bounds."""
    return low + (high - low) * float(rng.random())


def uniforms(rng: np.random.Generator, low: float, high: float, count: int) -> NDArray[np.float64]:
    """So many numbers between two bounds."""
    return np.array([uniform(rng, low, high) for _ in range(count)])


def normal(rng: np.random.Generator, mean: float, spread: float) -> float:
    """A nearly normal number, never more than six standard deviations from the mean: a sum of uniform ones."""
    drawn: list[float] = rng.random(_UNIFORMS).tolist()
    return mean + spread * (sum(drawn) - _UNIFORMS / 2)


def normals(rng: np.random.Generator, mean: float, spread: float, count: int) -> NDArray[np.float64]:
    """So many nearly normal numbers."""
    return np.array([normal(rng, mean, spread) for _ in range(count)])


def chance(rng: np.random.Generator, probability: float) -> bool:
    """True with a probability."""
    return float(rng.random()) < probability


def side(rng: np.random.Generator) -> float:
    """-1, the patient's right, or 1, the left."""
    return -1.0 if chance(rng, 0.5) else 1.0


def unit_vector(values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """A vector scaled to length 1, without the BLAS, whose sums differ between processors."""
    total = 0.0
    for value in values:
        total += float(value) * float(value)
    unit: NDArray[np.float64] = np.asarray(values, np.float64) / total**0.5
    return unit


def white_noise(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Nearly normal noise of unit spread: each value is a sum of four random bytes."""
    count = int(np.prod(shape))
    parts = np.frombuffer(rng.bytes(_BYTES * count), np.uint8).reshape(_BYTES, count)
    total = parts[0].astype(np.int16)
    for part in parts[1:]:
        total += part
    noise: NDArray[np.float64] = ((total - 255 * _BYTES / 2) / _BYTES_SPREAD).reshape(shape)
    return noise
