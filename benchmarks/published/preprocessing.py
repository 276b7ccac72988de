"""Cubic spline to 1 mm, range, min-max, anti-aliased resize of every slice."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

LOW, HIGH = -1000.0, 400.0
SLICE_SIZE = (128, 128)

Floats = NDArray[np.float64]


def preprocess(hu: NDArray[np.int16], spacing_mm: tuple[float, float, float]) -> NDArray[np.float32]:
    """Slices from 0 to 1, float32, axes (z, 128, 128), 1 mm apart."""
    cubic = ndimage.zoom(hu, spacing_mm, order=3, mode="nearest").astype(np.float64)
    cubic[(cubic > HIGH) | (cubic < LOW)] = LOW
    unit = (cubic - LOW) / (HIGH - LOW)
    return np.stack([resize(plane, SLICE_SIZE) for plane in unit]).astype(np.float32)


def resize(image: Floats, shape: tuple[int, ...]) -> Floats:
    """What `skimage.transform.resize(image, shape, anti_aliasing=True)` computes, by the scipy calls within it."""
    factors = np.divide(image.shape, shape)
    smooth = ndimage.gaussian_filter(image, np.maximum(0, (factors - 1) / 2), mode="mirror")
    resized: Floats = ndimage.zoom(smooth, 1 / factors, order=1, mode="mirror", grid_mode=True)
    return resized
