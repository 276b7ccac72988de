"""Train the denoiser to give back healthy lungs from lungs with Perlin pseudo-infections.

Source: paper, Methods, "Perlin noise" and "BCDU-Net": half of the slices are noisy, the target is always
the clean slice. Which half, and the noise itself, are drawn anew each epoch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from covidctnet.config import Config, NoiseConfig
from covidctnet.errors import TrainingError
from covidctnet.networks.denoiser import build_denoiser, compile_denoiser
from covidctnet.training.collapse import require_live_output
from covidctnet.training.history import EpochProgress, History, decay, stop_on_nan
from covidctnet.training.pseudo_infection import add_pseudo_infection
from covidctnet.volume import BoolArray, UnitArray

Batch = tuple[NDArray[np.float32], NDArray[np.float32]]


class NoisySlices(keras.utils.PyDataset):
    """Batches of (noisy, clean) slices, both float32 (batch, y, x, 1).

    A slice's noise depends on the seed, the epoch and the slice alone, not on the order of batches.

    Args:
        slices: clean slices, axes (slice, y, x), 0 to 1.
        lungs: aerated lung in them, same axes.
        noise: how the noise is drawn.
        batch_size: slices a batch; the last batch may be smaller.
        seed: source of order and noise.
        slices_per_epoch: draw that many slices an epoch; all when 0.
        fresh: draw anew each epoch; a validation set keeps its first draw.
    """

    def __init__(
        self,
        slices: UnitArray,
        lungs: BoolArray,
        noise: NoiseConfig,
        *,
        batch_size: int,
        seed: int,
        slices_per_epoch: int = 0,
        fresh: bool = True,
    ) -> None:
        super().__init__()
        self._slices, self._lungs, self._noise, self._batch_size = slices, lungs, noise, batch_size
        self._seed, self._fresh, self._epoch = seed, fresh, 0
        self._count = min(slices_per_epoch or len(slices), len(slices))
        self._draw_epoch()

    def __len__(self) -> int:
        return -(-self._count // self._batch_size)

    def __getitem__(self, index: int) -> Batch:
        chosen = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        clean = self._slices[chosen]
        noisy = clean.copy()
        for place, number in enumerate(chosen):
            if self._is_noisy[number]:
                rng = np.random.default_rng((self._seed, self._epoch, int(number)))
                noisy[place] = add_pseudo_infection(clean[place], self._lungs[number], rng, self._noise)
        return noisy[..., None], clean[..., None]

    def on_epoch_end(self) -> None:
        """Draw the next epoch's order and choice of noisy slices."""
        if self._fresh:
            self._epoch += 1
            self._draw_epoch()

    def _draw_epoch(self) -> None:
        rng = np.random.default_rng((self._seed, self._epoch))
        self._order = rng.permutation(len(self._slices))[: self._count]
        self._is_noisy = rng.random(len(self._slices)) < self._noise.noisy_fraction


@dataclass(frozen=True, kw_only=True)
class HealthySlices:
    """Slices of healthy patients one after the other.

    Attributes:
        slices: axes (slice, y, x), 0 to 1.
        lungs: aerated lung in them, same axes.
    """

    slices: UnitArray
    lungs: BoolArray

    def thin(self, most: int) -> "HealthySlices":
        """At most so many slices, evenly spread."""
        step = max(1, -(-len(self.slices) // most))
        return HealthySlices(slices=self.slices[::step], lungs=self.lungs[::step])


def train_denoiser(
    train: HealthySlices,
    monitor: HealthySlices,
    config: Config,
    *,
    on_epoch: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Any, History]:
    """Train a BCDU-Net on healthy slices.

    Args:
        train: slices of the denoiser's Controls.
        monitor: slices of other Controls, whose loss is watched and never trained on.
        config: denoiser, noise and seed.
        on_epoch: called with finished and total epochs.

    Returns:
        The trained Keras model, and its losses by epoch.

    Raises:
        TrainingError: there are no slices, or the loss is not finite.
    """
    counts = len(train.slices), len(monitor.slices)
    if 0 in counts:
        raise TrainingError(
            f"the denoiser needs healthy slices to train on and to watch, not {counts[0]} and {counts[1]}"
        )
    settings = config.denoiser
    keras.utils.set_random_seed(config.seed)
    height, width = config.preprocess.slice_size
    model = compile_denoiser(build_denoiser(settings, (height, width), seed=config.seed), settings)
    batches = NoisySlices(
        train.slices,
        train.lungs,
        config.noise,
        batch_size=settings.batch_size,
        seed=config.seed,
        slices_per_epoch=settings.slices_per_epoch,
    )
    watched = NoisySlices(
        monitor.slices,
        monitor.lungs,
        config.noise,
        batch_size=settings.batch_size,
        seed=config.seed,
        fresh=False,
    )
    callbacks = [EpochProgress(on_epoch), stop_on_nan("denoiser")]
    if settings.learning_rate_decay == "cosine":
        callbacks.append(decay(settings.learning_rate, settings.epochs))
    result = model.fit(batches, validation_data=watched, epochs=settings.epochs, verbose=0, callbacks=callbacks)
    require_live_output(model, train.slices[:: max(1, len(train.slices) // 32)])
    return model, {name: [float(value) for value in values] for name, values in result.history.items()}
