"""The product's own steps, with the same untrained weights as the published version."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covidctnet.config import Config
from covidctnet.networks.classifier import build_classifier
from covidctnet.networks.denoiser import build_denoiser, compile_denoiser
from covidctnet.networks.saving import export_classifier, load_classifier, load_denoiser, save_denoiser
from covidctnet.training.devices import choose_strategy
from covidctnet.training.loop import _Trainer

Floats = NDArray[np.float32]


def load(config: Config, denoiser: Any, classifier: Any) -> tuple[Any, Any]:
    """The denoiser and the classifier as a bundle would hold them, with the weights of the given models."""
    with tempfile.TemporaryDirectory() as folder:
        unrolled = build_denoiser(config.denoiser, config.preprocess.slice_size)
        unrolled.set_weights(denoiser.get_weights())
        save_denoiser(unrolled, Path(folder), config.residual)
        model = build_classifier(config.classifier, config.residual.shape)
        model.set_weights(classifier.get_weights())
        export_classifier(model, Path(folder) / "classifier", config.residual.shape)
        return load_denoiser(Path(folder), config.residual), load_classifier(Path(folder) / "classifier")


def training_step(config: Config, batch: Floats, *, jit_compile: bool = False) -> Callable[[], float]:
    """A function that trains on a batch (batch, y, x, 1) once, as the training loop does, and gives the loss."""
    model = compile_denoiser(build_denoiser(config.denoiser, config.preprocess.slice_size), config.denoiser)
    model.optimizer.build(model.trainable_variables)
    trainer = _Trainer(model, choose_strategy(), {}, jit_compile)

    def step() -> float:
        import tensorflow as tf

        return float(trainer.learn(tf.constant(batch), tf.constant(batch))["loss"])

    return step
