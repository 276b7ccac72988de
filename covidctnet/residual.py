"""What the denoiser takes out of a scan: infections stand out, healthy lung does not (paper, Methods)."""

import sys
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covidctnet.config import ResidualConfig
from covidctnet.errors import BundleError, GeometryError
from covidctnet.resize import resize
from covidctnet.volume import UnitArray

ResidualArray = NDArray[np.float32]
"""Input minus denoised, -1 to 1, axes (z, y, x)."""

Run = Callable[[NDArray[np.float32]], Any]

_COMPILED: "weakref.WeakKeyDictionary[Any, Run]" = weakref.WeakKeyDictionary()


def denoise(denoiser: Any, slices: UnitArray, batch_size: int) -> UnitArray:
    """Run the denoiser over the slices of a study.

    Every batch has the same size, the last one filled up with zeros: the result of a slice is then the
    same to the bit whatever else is in the study, in training as in serving.

    Args:
        denoiser: Keras model, or any function of float32 (batch, y, x, 1) that gives the same shape.
        slices: float32, axes (z, y, x), 0 to 1.
        batch_size: slices a batch, at least 1; part of the bundle's configuration.

    Returns:
        float32, axes (z, y, x), 0 to 1.

    Raises:
        GeometryError: the slices are not three-dimensional float32, or there is none.
        BundleError: the denoiser gives another shape, or values that are not finite.
    """
    if slices.ndim != 3 or slices.dtype != np.float32 or len(slices) == 0:
        raise GeometryError(f"expected float32 slices (z, y, x), not {slices.dtype} of shape {slices.shape}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")
    run = _compiled(denoiser)
    denoised = np.empty_like(slices)
    for start in range(0, len(slices), batch_size):
        part = slices[start : start + batch_size]
        # A fresh array a batch: the backend may read the one before while this one is filled.
        batch = np.zeros((batch_size, *slices.shape[1:], 1), np.float32)
        batch[: len(part), ..., 0] = part
        answer = np.asarray(run(batch))
        if answer.shape != batch.shape:
            raise BundleError(f"the denoiser answered shape {answer.shape} to slices of shape {batch.shape}")
        denoised[start : start + len(part)] = answer[: len(part), ..., 0]
    if not np.isfinite(denoised).all():
        raise BundleError("the denoiser gave values that are not finite: it diverged in training or is damaged")
    return denoised


def residual(slices: UnitArray, denoised: UnitArray) -> ResidualArray:
    """Input minus denoised output, signed, axes (z, y, x).

    Raises:
        GeometryError: the two have different shapes.
    """
    if slices.shape != denoised.shape:
        raise GeometryError(f"slices {slices.shape} and denoised slices {denoised.shape} must have one shape")
    return slices - denoised


def stack_residual(slices: UnitArray, denoised: UnitArray, config: ResidualConfig) -> ResidualArray:
    """The classifier's input: the signed residual of a study, resized with anti-aliasing.

    Args:
        slices: float32, axes (z, y, x), 0 to 1.
        denoised: what `denoise` made of them.
        config: holds the shape (z, y, x) to resize to.

    Raises:
        GeometryError: the two have different shapes.
    """
    return resize(residual(slices, denoised), config.shape)


def residual_stack(slices: UnitArray, denoiser: Any, config: ResidualConfig) -> ResidualArray:
    """Denoise, subtract and resize in one go; see `denoise` and `stack_residual`."""
    return stack_residual(slices, denoise(denoiser, slices, config.batch_size), config)


def _compiled(denoiser: Any) -> Run:
    """A graph of a Keras model in inference mode, traced once a model; other callables as they are."""
    keras = sys.modules.get("keras")
    if keras is None or not isinstance(denoiser, keras.Model):
        run: Run = denoiser
        return run
    if denoiser not in _COMPILED:
        import tensorflow as tf

        # The cache must not keep the model alive through its own value.
        model: Callable[[], Any] = weakref.ref(denoiser)
        # XLA stays off whatever the model was compiled with: it rounds differently.
        _COMPILED[denoiser] = tf.function(lambda batch: model()(batch, training=False), jit_compile=False)
    return _COMPILED[denoiser]
