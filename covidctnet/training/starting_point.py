"""Start from the networks of a bundle, so that a retraining goes on from the model in production."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from covidctnet.bundle import load_bundle
from covidctnet.config import Config
from covidctnet.errors import TrainingError
from covidctnet.networks.saving import load_keras_denoiser
from covidctnet.training.checkpoint import Weights


@dataclass(frozen=True, kw_only=True)
class StartingPoint:
    """Weights of a bundle, and the patients that they have seen.

    Attributes:
        pair_id: of the bundle.
        denoiser: in the order of Keras' `get_weights`.
        classifier: alike.
        trained_on: `patient_key` of every patient that shaped them; whoever starts from them inherits these.
    """

    pair_id: str
    denoiser: Weights
    classifier: Weights
    trained_on: tuple[str, ...]

    @classmethod
    def load(cls, folder: Path) -> "StartingPoint":
        """Read both networks of a bundle.

        Raises:
            BundleError: the bundle is damaged.
            TrainingError: it does not say which patients it was trained on: a model that starts from it could not
                say so either.
        """
        import tensorflow as tf

        bundle = load_bundle(folder)
        if not bundle.reference.trained_on:
            raise TrainingError(
                f"bundle {bundle.pair_id} does not say which patients trained it, so nothing may start from it; "
                "train from the seed"
            )
        # Trainable alone: what else the classifier holds is the state of its dropout.
        saved = tf.saved_model.load(str(bundle.classifier_path)).trainable_variables
        return cls(
            pair_id=bundle.pair_id,
            denoiser=load_keras_denoiser(folder).get_weights(),
            classifier=[variable.numpy() for variable in saved],
            trained_on=bundle.reference.trained_on,
        )

    def denoiser_for(self, config: Config) -> Weights | None:
        """Weights for the denoiser of a configuration; None where a shape differs."""
        from covidctnet.networks.denoiser import build_denoiser

        return _fitting(self.denoiser, build_denoiser(config.denoiser, config.preprocess.slice_size).get_weights())

    def classifier_for(self, config: Config) -> Weights | None:
        """Weights for the classifier of a configuration; None where a shape differs."""
        from covidctnet.networks.classifier import build_classifier

        return _fitting(self.classifier, build_classifier(config.classifier, config.residual.shape).get_weights())


def _fitting(saved: Weights, wanted: Sequence[Any]) -> Weights | None:
    return saved if [one.shape for one in saved] == [one.shape for one in wanted] else None
