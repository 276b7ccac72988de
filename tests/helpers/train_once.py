"""Train one small network and keep its weights; a test kills this programme at random moments.

Usage: python -m tests.helpers.train_once denoiser|classifier FOLDER
"""

import sys
from pathlib import Path

import numpy as np

from covidctnet.training.checkpoint import Checkpoint
from covidctnet.training.classifier import train_classifier
from covidctnet.training.denoiser import train_denoiser
from tests.covidctnet.training.test_train_classifier import cases
from tests.covidctnet.training.test_train_classifier import config as classifier_config
from tests.covidctnet.training.test_train_denoiser import config as denoiser_config
from tests.covidctnet.training.test_train_denoiser import healthy


def main(network: str, folder: Path) -> None:
    """Train, or go on; `weights.npz` appears when all is done, `epochs` grows by a letter an epoch."""
    checkpoint = Checkpoint(folder / "checkpoint.npz", "same")

    def on_epoch(done: int, total: int, history: object) -> None:
        with (folder / "epochs").open("a") as file:
            file.write("x")

    if network == "denoiser":
        settings = denoiser_config(epochs=12, dropout=0.2, learning_rate_decay="cosine")
        model, history = train_denoiser(
            healthy(160), healthy(16, 1), settings, checkpoint=checkpoint, on_epoch=on_epoch
        )
    else:
        changes = classifier_config(epochs=24, dropout=0.2, flip_augmentation=True, shift_augmentation=2)
        model, history = train_classifier(
            *cases(90, 0), *cases(12, 1), changes, checkpoint=checkpoint, on_epoch=on_epoch
        )
    np.savez(folder / "partial.npz", *model.get_weights(), losses=history["val_loss"])
    (folder / "partial.npz").rename(folder / "weights.npz")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
