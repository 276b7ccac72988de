"""Teach the denoiser's network to find lungs first, so that its features know a chest before it sees noise.

Source: paper, Methods, "BCDU-Net": the network started from weights that had been trained for lung
segmentation. The masks here come from `covidctnet.lungs`, of the denoiser's own Controls.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covidctnet.config import Config
from covidctnet.networks.denoiser import build_denoiser, compile_denoiser
from covidctnet.training.batches import Batch
from covidctnet.training.checkpoint import Checkpoint, Weights
from covidctnet.training.devices import has_replicas
from covidctnet.training.history import History
from covidctnet.training.loop import OnEpoch, fit
from covidctnet.training.schedule import warm_start_schedule
from covidctnet.training.slices import MaskedSlices


class SegmentedSlices:
    """Batches of (slices, lung masks), both float32 (batch, y, x, 1); see `batches.Batches`.

    Args:
        data: clean slices with the lungs in them.
        batch_size: slices a batch; the last batch may be smaller.
        seed: source of the order.
        slices_per_epoch: draw that many slices an epoch; all when 0.
    """

    def __init__(self, data: MaskedSlices, *, batch_size: int, seed: int, slices_per_epoch: int = 0) -> None:
        self._data, self._batch_size, self._seed = data, batch_size, seed
        self._count = min(slices_per_epoch or len(data), len(data))
        self._order = lru_cache(maxsize=2)(self._order_epoch)

    def __len__(self) -> int:
        return -(-self._count // self._batch_size)

    def batch(self, epoch: int, index: int) -> Batch:
        """One batch of an epoch."""
        chosen = self._order(epoch)[index * self._batch_size : (index + 1) * self._batch_size]
        slices, lungs = self._data.take(chosen)
        return slices[..., None], lungs[..., None].astype(np.float32)

    def _order_epoch(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng((self._seed, epoch)).permutation(len(self._data))[: self._count]


def pretrain_on_lungs(
    train: MaskedSlices,
    monitor: MaskedSlices,
    config: Config,
    *,
    checkpoint: Checkpoint | None = None,
    on_epoch: OnEpoch = lambda done, total, history: None,
) -> tuple[Weights, History]:
    """Train the denoiser's network to mark lungs.

    Args:
        train: slices of the denoiser's Controls with their lungs.
        monitor: slices of other Controls, whose loss is watched.
        config: denoiser with `warm_start_epochs`, and seed.
        checkpoint: where the state is kept, to go on after an interruption.
        on_epoch: told of each finished epoch.

    Returns:
        The weights to start the denoiser from, and the losses by epoch.

    Raises:
        TrainingError: the loss is not finite.
        TrainingInterruptedError: SIGTERM came.
    """
    settings = config.denoiser
    height, width = config.preprocess.slice_size

    def build() -> Any:
        return compile_denoiser(
            build_denoiser(settings, (height, width), synchronized=has_replicas(), seed=config.seed), settings
        )

    def batches(data: MaskedSlices, slices_per_epoch: int) -> SegmentedSlices:
        return SegmentedSlices(
            data, batch_size=settings.batch_size, seed=config.seed, slices_per_epoch=slices_per_epoch
        )

    model, history = fit(
        build,
        batches(train, settings.slices_per_epoch),
        batches(monitor, 0),
        warm_start_schedule(config),
        name="warm start",
        checkpoint=checkpoint,
        on_epoch=on_epoch,
    )
    return model.get_weights(), history
