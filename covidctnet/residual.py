"""What the denoiser takes out of a scan: infections stand out, healthy lung does not (paper, Methods)."""

from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from covidctnet.config import ResidualConfig
from covidctnet.errors import BundleError, GeometryError
from covidctnet.resize import resize
from covidctnet.volume import UnitArray

ResidualArray = NDArray[np.float32]
"""Input minus denoised, -1 to 1, axes (z, y, x)."""


class Denoiser(Protocol):
    """A denoiser ready for inference, see `networks.saving.load_denoiser`."""

    def __call__(self, batch: NDArray[np.float32], /) -> NDArray[np.float32]:
        """Denoise one batch of float32 slices, shape (batch, y, x, 1)."""
        ...


def denoise(denoiser: Denoiser, slices: UnitArray, batch_size: int) -> UnitArray:
    """Run the denoiser over the slices of a study.

    Every batch has the same size, the last one filled up with zeros: the result of a slice is then the
    same to the bit whatever else is in the study, in training as in serving.

    Args:
        denoiser: any function of float32 (batch, y, x, 1) that gives the same shape. Where it has an
            attribute `streams`, so many batches are given to it at once, from as many threads.
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
    denoised = np.empty_like(slices)

    def run(start: int) -> None:
        part = slices[start : start + batch_size]
        # A fresh array a batch: the backend may read the one before while this one is filled.
        batch = np.zeros((batch_size, *slices.shape[1:], 1), np.float32)
        batch[: len(part), ..., 0] = part
        answer = denoiser(batch)
        if answer.shape != batch.shape:
            raise BundleError(f"the denoiser answered shape {answer.shape} to slices of shape {batch.shape}")
        denoised[start : start + len(part)] = answer[: len(part), ..., 0]

    with ThreadPoolExecutor(getattr(denoiser, "streams", 1)) as pool:
        list(pool.map(run, range(0, len(slices), batch_size)))
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


def residual_stack(slices: UnitArray, denoiser: Denoiser, config: ResidualConfig) -> ResidualArray:
    """Denoise, subtract and resize in one go; see `denoise` and `stack_residual`."""
    return stack_residual(slices, denoise(denoiser, slices, config.batch_size), config)
