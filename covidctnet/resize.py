"""Anti-aliased linear resizing of arrays, axis by axis, the same bytes on any number of threads."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

FloatArray = NDArray[np.float32]


def resize(array: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Resize every axis whose size differs.

    Args:
        array: float32, any number of axes.
        shape: wanted sizes, one an axis, each at least 1.

    Returns:
        float32 of that shape, C-contiguous; no value leaves the range of the input's values by more than
        rounding.

    Raises:
        ValueError: see `resize_axis`, or shape has another number of axes than the array.
    """
    if len(shape) != array.ndim:
        raise ValueError(f"cannot resize {array.ndim} axes {array.shape} to {len(shape)} axes {tuple(shape)}")
    if array.ndim > 2 and len(array) == shape[0] > 0:
        # One part after the other stays in the processor's cache: four times as fast.
        return np.stack([resize(part, shape[1:]) for part in array])
    # Strongest shrinking first: every later axis then has less to read.
    for axis in sorted(range(array.ndim), key=lambda axis: shape[axis] / max(1, array.shape[axis])):
        array = resize_axis(array, axis, shape[axis])
    return np.ascontiguousarray(array)


def resize_axis(array: FloatArray, axis: int, size: int) -> FloatArray:
    """Resize one axis by linear interpolation, widened to cover all samples when it shrinks.

    Sample centres lie at half-integer positions, so the ends of the axis stay where they are; outside of
    the array the kernel is cut off and its weights are scaled to sum to one. An unchanged size returns the
    array itself.

    Args:
        array: float32.
        axis: the axis, negative from the end.
        size: wanted size, at least 1.

    Raises:
        ValueError: the array is not float32 or empty along the axis, or size is below 1.
    """
    if array.dtype != np.float32:
        raise ValueError(f"expected float32 values, not {array.dtype}")
    if array.shape[axis] < 1 or size < 1:
        raise ValueError(f"cannot resize an axis of {array.shape[axis]} samples to {size}: both must be at least 1")
    if array.shape[axis] == size:
        return array
    matrix = _weights(array.shape[axis], size)
    front = np.moveaxis(array, axis, 0)
    flat = np.ascontiguousarray(front).reshape(array.shape[axis], -1)
    resized: FloatArray = (matrix @ flat).reshape(size, *front.shape[1:])
    return np.moveaxis(resized, 0, axis)


@lru_cache(maxsize=512)
def _weights(old: int, new: int) -> Any:
    """Sparse matrix (new, old) of a triangle kernel, float32, rows summing to one."""
    scale = old / new
    radius = max(scale, 1.0)
    centres = (np.arange(new) + 0.5) * scale - 0.5
    first = np.ceil(centres - radius).astype(np.int64)
    samples = first[:, None] + np.arange(int(np.floor(2 * radius)) + 1)
    weights = np.maximum(0.0, 1.0 - np.abs(samples - centres[:, None]) / radius)
    weights[(samples < 0) | (samples >= old)] = 0.0
    weights /= weights.sum(axis=1, keepdims=True)
    kept = weights > 0
    rows = np.broadcast_to(np.arange(new)[:, None], weights.shape)
    return csr_array((weights[kept].astype(np.float32), (rows[kept], samples[kept])), shape=(new, old))
