"""Keras's own layers, run by `model.predict` and `model.train_on_batch`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.published.preprocessing import resize
from covidctnet.config import Config
from covidctnet.networks.classifier import build_classifier
from covidctnet.networks.denoiser import build_denoiser, compile_denoiser

Floats = NDArray[np.float32]


def build(config: Config) -> tuple[Any, Any]:
    """BCDU-Net with `keras.layers.ConvLSTM2D`, and the 3D CNN."""
    denoiser = build_denoiser(config.denoiser, config.preprocess.slice_size, standard_lstm=True, seed=1)
    compile_denoiser(denoiser, config.denoiser)
    return denoiser, build_classifier(config.classifier, config.residual.shape, seed=1)


def denoise(denoiser: Any, slices: Floats) -> Floats:
    """Denoised slices, axes (z, y, x), in Keras's default batches of 32."""
    denoised: Floats = denoiser.predict(slices[..., None], verbose=0)[..., 0]
    return denoised


def residual_stack(slices: Floats, denoised: Floats, shape: tuple[int, int, int]) -> Floats:
    """Input minus output, resized to the classifier's input."""
    return resize((slices - denoised).astype(np.float64), shape).astype(np.float32)


def classify(classifier: Any, stack: Floats) -> Floats:
    """Probabilities of the classes."""
    probabilities: Floats = classifier.predict(stack[None, ..., None], verbose=0)[0]
    return probabilities
