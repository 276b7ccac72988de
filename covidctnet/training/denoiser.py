"""Train the denoiser to give back healthy lungs from lungs with Perlin pseudo-infections.

Source: paper, Methods, "Perlin noise" and "BCDU-Net": half of the slices are noisy, the target is always
the clean slice. Which half, and the noise itself, are drawn anew each epoch.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covidctnet.config import Config, NoiseConfig
from covidctnet.errors import TrainingError
from covidctnet.networks.denoiser import build_denoiser, compile_denoiser
from covidctnet.training.batches import Batch
from covidctnet.training.checkpoint import Checkpoint, Weights
from covidctnet.training.collapse import require_live_output
from covidctnet.training.devices import has_replicas
from covidctnet.training.history import History
from covidctnet.training.loop import OnEpoch, fit
from covidctnet.training.pseudo_infection import add_pseudo_infection
from covidctnet.training.schedule import denoiser_schedule
from covidctnet.training.slices import MaskedSlices


class NoisySlices:
    """Batches of (noisy, clean) slices, both float32 (batch, y, x, 1); see `batches.Batches`.

    A slice's noise depends on the seed, the epoch and the slice alone, not on the order of batches.

    Args:
        data: clean slices with their aerated lung.
        noise: how the noise is drawn.
        batch_size: slices a batch; the last batch may be smaller.
        seed: source of order and noise.
        slices_per_epoch: draw that many slices an epoch; all when 0.
    """

    def __init__(
        self, data: MaskedSlices, noise: NoiseConfig, *, batch_size: int, seed: int, slices_per_epoch: int = 0
    ) -> None:
        self._data, self._noise, self._batch_size, self._seed = data, noise, batch_size, seed
        self._count = min(slices_per_epoch or len(data), len(data))
        self._plan = lru_cache(maxsize=2)(self._plan_epoch)

    def __len__(self) -> int:
        return -(-self._count // self._batch_size)

    def batch(self, epoch: int, index: int) -> Batch:
        """One batch of an epoch."""
        order, is_noisy = self._plan(epoch)
        chosen = order[index * self._batch_size : (index + 1) * self._batch_size]
        clean, lungs = self._data.take(chosen)
        noisy = clean.copy()
        for place, number in enumerate(chosen):
            if is_noisy[number]:
                rng = np.random.default_rng((self._seed, epoch, int(number)))
                noisy[place] = add_pseudo_infection(clean[place], lungs[place], rng, self._noise)
        return noisy[..., None], clean[..., None]

    def _plan_epoch(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        rng = np.random.default_rng((self._seed, epoch))
        order = rng.permutation(len(self._data))[: self._count]
        return order, rng.random(len(self._data)) < self._noise.noisy_fraction


def train_denoiser(
    train: MaskedSlices,
    monitor: MaskedSlices,
    config: Config,
    *,
    start: Weights | None = None,
    checkpoint: Checkpoint | None = None,
    on_epoch: OnEpoch = lambda done, total, history: None,
) -> tuple[Any, History]:
    """Train a BCDU-Net on healthy slices.

    Args:
        train: slices of the denoiser's Controls.
        monitor: slices of other Controls, whose loss is watched and never trained on.
        config: denoiser, noise and seed.
        start: weights to start from, see `warm_start`; drawn from the seed when None.
        checkpoint: where the state is kept, to go on after an interruption.
        on_epoch: told of each finished epoch.

    Returns:
        The trained Keras model, and its losses by epoch.

    Raises:
        TrainingError: there are no slices, or the loss is not finite.
        TrainingInterruptedError: SIGTERM came.
    """
    if 0 in (len(train), len(monitor)):
        raise TrainingError(
            f"the denoiser needs healthy slices to train on and to watch, not {len(train)} and {len(monitor)}"
        )
    settings = config.denoiser
    height, width = config.preprocess.slice_size

    def build() -> Any:
        model = compile_denoiser(
            build_denoiser(settings, (height, width), synchronized=has_replicas(), seed=config.seed), settings
        )
        if start is not None:
            model.set_weights(start)
        return model

    def batches(data: MaskedSlices, slices_per_epoch: int) -> NoisySlices:
        return NoisySlices(
            data,
            config.noise,
            batch_size=settings.batch_size,
            seed=config.seed,
            slices_per_epoch=slices_per_epoch,
        )

    model, history = fit(
        build,
        batches(train, settings.slices_per_epoch),
        batches(monitor, 0),
        denoiser_schedule(config),
        name="denoiser",
        checkpoint=checkpoint,
        on_epoch=on_epoch,
    )
    require_live_output(model, train.take(range(0, len(train), max(1, len(train) // 32)))[0])
    return model, history
