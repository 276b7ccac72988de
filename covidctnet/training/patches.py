"""Train the patch-based baseline: each patch of lung carries the label of its patient."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covidctnet.config import Config
from covidctnet.errors import TrainingError
from covidctnet.labels import LABELS
from covidctnet.networks.classifier import compile_classifier
from covidctnet.networks.patches import build_patch_classifier
from covidctnet.training.batches import Batch
from covidctnet.training.checkpoint import Checkpoint
from covidctnet.training.classifier import accuracy
from covidctnet.training.history import History
from covidctnet.training.loop import OnEpoch, fit
from covidctnet.training.schedule import classifier_schedule
from covidctnet.volume import BoolArray, UnitArray

SIDE_SHARE = 4
"""A patch is this part of a slice's side: 32 pixels of 128."""

TRAINED_PATCHES = 32
"""Patches of a case in an epoch; others in the next one."""

ANSWERED_PATCHES = 64
"""Patches of a case whose mean probability is its answer, evenly spread over its lungs."""

BATCH = 64


def patch_side(slice_size: tuple[int, ...]) -> int:
    """Side in pixels of the patches of slices (y, x)."""
    return min(slice_size) // SIDE_SHARE


class CasePatches:
    """Square patches of one case, centred on voxels of its lungs.

    Args:
        slices: axes (z, y, x), 0 to 1; may be memory-mapped.
        lungs: same axes.

    Raises:
        TrainingError: no lung was found.
    """

    def __init__(self, slices: UnitArray, lungs: BoolArray) -> None:
        self.side = patch_side(slices.shape[1:])
        self._slices = slices
        self._places = np.argwhere(lungs)
        if not len(self._places):
            raise TrainingError("a case without lungs has no patches; look at its slices")

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float32]:
        """Patches at random places, axes (patch, y, x)."""
        return self._cut(self._places[rng.integers(len(self._places), size=count)])

    def spread(self, count: int) -> NDArray[np.float32]:
        """Patches evenly spread over the lungs, always the same, axes (patch, y, x)."""
        chosen = np.linspace(0, len(self._places) - 1, min(count, len(self._places))).round().astype(int)
        return self._cut(self._places[chosen])

    def _cut(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        _, height, width = self._slices.shape
        half = self.side // 2
        patches = np.empty((len(places), self.side, self.side), np.float32)
        for number, (z, y, x) in enumerate(places):
            # Moved inwards where it would leave the slice.
            top, left = min(max(y - half, 0), height - self.side), min(max(x - half, 0), width - self.side)
            patches[number] = self._slices[z, top : top + self.side, left : left + self.side]
        return patches


class PatchBatches:
    """Batches of (patches, one-hot labels), drawn anew each epoch; see `batches.Batches`.

    Args:
        cases: patches of each case.
        labels: class index of each.
        seed: of places and order.
        fixed: the same spread patches each epoch, for validation.
    """

    def __init__(
        self, cases: Sequence[CasePatches], labels: NDArray[np.int64], *, seed: int, fixed: bool = False
    ) -> None:
        self._cases, self._targets = cases, np.eye(len(LABELS), dtype=np.float32)[labels]
        self._seed, self._fixed = seed, fixed
        self._epoch = lru_cache(maxsize=2)(self._draw_epoch)

    def __len__(self) -> int:
        return -(-len(self._epoch(0)[0]) // BATCH)

    def batch(self, epoch: int, index: int) -> Batch:
        """One batch of an epoch, inputs with axes (patch, y, x, 1)."""
        patches, targets = self._epoch(0 if self._fixed else epoch)
        part = slice(index * BATCH, (index + 1) * BATCH)
        return patches[part, ..., None], targets[part]

    def _draw_epoch(self, epoch: int) -> Batch:
        rng = np.random.default_rng((self._seed, epoch))
        drawn = [
            case.spread(TRAINED_PATCHES) if self._fixed else case.draw(rng, TRAINED_PATCHES) for case in self._cases
        ]
        targets = np.repeat(self._targets, [len(patches) for patches in drawn], axis=0)
        patches = np.concatenate(drawn)
        order = rng.permutation(len(patches))
        return patches[order], targets[order]


def train_patches(
    train: PatchBatches,
    validation: PatchBatches,
    side: int,
    config: Config,
    *,
    checkpoint: Checkpoint | None = None,
    on_epoch: OnEpoch = lambda done, total, history: None,
) -> tuple[Any, History]:
    """Train the baseline with the classifier's own optimizer, epochs and rules.

    Args:
        train: patches that are learnt from.
        validation: patches whose loss is watched.
        side: of a patch in pixels.
        config: section `classifier`, and the seed.
        checkpoint: where the state is kept.
        on_epoch: told of each finished epoch.

    Raises:
        TrainingError: the loss is not finite.
        TrainingInterruptedError: SIGTERM came.
    """
    settings = config.classifier

    def build() -> Any:
        return compile_classifier(build_patch_classifier(side, dropout=settings.dropout, seed=config.seed), settings)

    return fit(
        build,
        train,
        validation,
        classifier_schedule(config),
        name="patch classifier",
        checkpoint=checkpoint,
        measures={"accuracy": accuracy},
        on_epoch=on_epoch,
    )
