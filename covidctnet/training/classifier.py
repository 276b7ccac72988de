"""Train the 3D CNN to tell Control, Covid-19 and CAP from residual stacks."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from covidctnet.config import Config
from covidctnet.errors import TrainingError
from covidctnet.labels import LABELS
from covidctnet.networks.classifier import build_classifier, compile_classifier
from covidctnet.training.history import EpochProgress, History, decay, stop_on_nan

Stacks = NDArray[np.float32]
"""Residual stacks of several cases, axes (case, z, y, x)."""


class ShuffledStacks(keras.utils.PyDataset):
    """Batches of (stacks, one-hot labels) in a new seeded order each epoch.

    Args:
        stacks: axes (case, z, y, x).
        labels: class indices, shape (case,).
        batch_size: cases a batch.
        seed: source of the order and the flips.
        flip: mirror a random half of the stacks left to right.
        shift: move each stack by up to so many voxels along each axis; what leaves on one side, air outside
            the body, enters on the other.
    """

    def __init__(
        self, stacks: Stacks, labels: NDArray[np.int64], *, batch_size: int, seed: int, flip: bool, shift: int = 0
    ) -> None:
        super().__init__()
        self._stacks, self._targets = stacks, np.eye(len(LABELS), dtype=np.float32)[labels]
        self._batch_size, self._flip, self._shift, self._seed, self._epoch = batch_size, flip, shift, seed, 0
        self._draw_epoch()

    def __len__(self) -> int:
        return -(-len(self._stacks) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        chosen = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        batch = self._stacks[chosen]
        mirrored = self._mirrored[chosen]
        batch[mirrored] = batch[mirrored][..., ::-1]
        for stack, moves in zip(batch, self._moves[chosen], strict=True):
            stack[:] = np.roll(stack, tuple(moves), axis=(0, 1, 2))
        return batch[..., None], self._targets[chosen]

    def on_epoch_end(self) -> None:
        """Draw the next epoch's order and flips."""
        self._epoch += 1
        self._draw_epoch()

    def _draw_epoch(self) -> None:
        rng = np.random.default_rng((self._seed, self._epoch))
        self._order = rng.permutation(len(self._stacks))
        self._moves = rng.integers(-self._shift, self._shift + 1, size=(len(self._stacks), 3))
        self._mirrored = (rng.random(len(self._stacks)) < 0.5) & self._flip


def train_classifier(
    stacks: Stacks,
    labels: NDArray[np.int64],
    validation_stacks: Stacks,
    validation_labels: NDArray[np.int64],
    config: Config,
    *,
    on_epoch: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Any, History]:
    """Train the classifier; the weights of the epoch with the lowest validation loss are kept.

    Args:
        stacks: training residuals, axes (case, z, y, x).
        labels: their class indices.
        validation_stacks: residuals that choose the epoch.
        validation_labels: their class indices.
        config: classifier, residual shape and seed.
        on_epoch: called with finished and total epochs.

    Raises:
        TrainingError: a class is missing from training, or the loss is not finite.
    """
    missing = [name for index, name in enumerate(LABELS) if index not in labels]
    if missing:
        raise TrainingError(f"training holds no case of {', '.join(missing)}; add cases or change the split's shares")
    settings = config.classifier
    keras.utils.set_random_seed(config.seed)
    model = compile_classifier(build_classifier(settings, config.residual.shape, seed=config.seed), settings)
    train = ShuffledStacks(
        stacks,
        labels,
        batch_size=settings.batch_size,
        seed=config.seed,
        flip=settings.flip_augmentation,
        shift=settings.shift_augmentation,
    )
    targets = np.eye(len(LABELS), dtype=np.float32)[validation_labels]
    best = _BestWeights()
    callbacks = [EpochProgress(on_epoch), stop_on_nan("classifier"), best]
    if settings.learning_rate_decay == "cosine":
        callbacks.append(decay(settings.learning_rate, settings.epochs))
    result = model.fit(
        train,
        validation_data=(validation_stacks[..., None], targets),
        epochs=settings.epochs,
        verbose=0,
        callbacks=callbacks,
    )
    model.set_weights(best.weights)
    return model, {name: [float(value) for value in values] for name, values in result.history.items()}


class _BestWeights(keras.callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.loss = np.inf
        self.weights: list[NDArray[np.float32]] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        loss = (logs or {})["val_loss"]
        if not self.weights or loss < self.loss:
            self.loss, self.weights = loss, self.model.get_weights()
