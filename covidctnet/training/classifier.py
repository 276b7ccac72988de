"""Train the 3D CNN to tell Control, Covid-19 and CAP from residual stacks."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covidctnet.config import Config
from covidctnet.errors import TrainingError
from covidctnet.labels import LABELS
from covidctnet.networks.classifier import build_classifier, compile_classifier
from covidctnet.training.batches import Batch
from covidctnet.training.checkpoint import Checkpoint, Weights
from covidctnet.training.history import History
from covidctnet.training.loop import OnEpoch, fit
from covidctnet.training.schedule import classifier_schedule

Stacks = Sequence[NDArray[np.float32]] | NDArray[np.float32]
"""Residual stacks of several cases, axes (case, z, y, x), or one array a case; may be memory-mapped."""

Plan = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]
"""Of one epoch: order of the cases, by case its moves along (z, y, x), and whether it is mirrored."""


class ShuffledStacks:
    """Batches of (stacks, one-hot labels), in a new seeded order each epoch; see `batches.Batches`.

    Args:
        stacks: axes (case, z, y, x).
        labels: class indices, shape (case,).
        batch_size: cases a batch.
        seed: source of the order and the changes.
        flip: mirror a random half of the stacks left to right.
        shift: move each stack by up to so many voxels along each axis; what leaves on one side, air outside
            the body, enters on the other.
    """

    def __init__(
        self, stacks: Stacks, labels: NDArray[np.int64], *, batch_size: int, seed: int, flip: bool, shift: int = 0
    ) -> None:
        self._stacks, self._targets = stacks, np.eye(len(LABELS), dtype=np.float32)[labels]
        self._batch_size, self._flip, self._shift, self._seed = batch_size, flip, shift, seed
        self._plan = lru_cache(maxsize=2)(self._plan_epoch)

    def __len__(self) -> int:
        return -(-len(self._stacks) // self._batch_size)

    def batch(self, epoch: int, index: int) -> Batch:
        """One batch of an epoch, inputs with axes (case, z, y, x, 1)."""
        order, moves, mirrored = self._plan(epoch)
        chosen = order[index * self._batch_size : (index + 1) * self._batch_size]
        batch = np.stack([self._stacks[case] for case in chosen])
        for stack, case in zip(batch, chosen, strict=True):
            changed = stack[..., ::-1] if mirrored[case] else stack
            stack[:] = np.roll(changed, tuple(moves[case]), axis=(0, 1, 2))
        return batch[..., None], self._targets[chosen]

    def _plan_epoch(self, epoch: int) -> Plan:
        rng = np.random.default_rng((self._seed, epoch))
        order = rng.permutation(len(self._stacks))
        moves = rng.integers(-self._shift, self._shift + 1, size=(len(self._stacks), 3))
        return order, moves, (rng.random(len(self._stacks)) < 0.5) & self._flip


def train_classifier(
    stacks: Stacks,
    labels: NDArray[np.int64],
    validation_stacks: Stacks,
    validation_labels: NDArray[np.int64],
    config: Config,
    *,
    start: Weights | None = None,
    checkpoint: Checkpoint | None = None,
    on_epoch: OnEpoch = lambda done, total, history: None,
) -> tuple[Any, History]:
    """Train the classifier; `config.classifier.keep` says which epoch's weights are kept.

    Args:
        stacks: training residuals, axes (case, z, y, x).
        labels: their class indices.
        validation_stacks: residuals that choose the epoch.
        validation_labels: their class indices.
        config: classifier, residual shape and seed.
        start: weights to start from; drawn from the seed when None.
        checkpoint: where the state is kept, to go on after an interruption.
        on_epoch: told of each finished epoch.

    Raises:
        TrainingError: a class is missing from training, or the loss is not finite.
        TrainingInterruptedError: SIGTERM came.
    """
    missing = [name for index, name in enumerate(LABELS) if index not in labels]
    if missing:
        raise TrainingError(f"training holds no case of {', '.join(missing)}; add cases or change the split's shares")
    settings = config.classifier

    def build() -> Any:
        model = compile_classifier(build_classifier(settings, config.residual.shape, seed=config.seed), settings)
        if start is not None:
            model.set_weights(start)
        return model

    def batches(data: Stacks, classes: NDArray[np.int64], *, changed: bool) -> ShuffledStacks:
        return ShuffledStacks(
            data,
            classes,
            batch_size=settings.batch_size,
            seed=config.seed,
            flip=changed and settings.flip_augmentation,
            shift=settings.shift_augmentation if changed else 0,
        )

    return fit(
        build,
        batches(stacks, labels, changed=True),
        batches(validation_stacks, validation_labels, changed=False),
        classifier_schedule(config),
        name="classifier",
        checkpoint=checkpoint,
        measures={"accuracy": accuracy},
        on_epoch=on_epoch,
    )


def accuracy(targets: Any, predictions: Any) -> Any:
    """Share of right answers in a batch, as the training loop measures it."""
    import keras

    return keras.ops.mean(keras.metrics.categorical_accuracy(targets, predictions))
