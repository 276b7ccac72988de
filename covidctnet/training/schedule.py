"""How long a network is trained, at which rate, and what is kept of it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from covidctnet.config import ClassifierConfig, Config, DenoiserConfig
from covidctnet.training.devices import Precision


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """One training.

    Attributes:
        epochs: at most so many.
        rate: learning rate by finished epochs.
        patience: stop after so many epochs without a lower validation loss; 0 for never.
        keep_best: keep the weights of the epoch with the lowest validation loss instead of the last.
        precision: see `devices.is_mixed`.
        seed: of the global random state.
        operation_threads: see `devices.limit_operation_threads`.
    """

    epochs: int
    rate: Callable[[int], float]
    patience: int = 0
    keep_best: bool = False
    precision: Precision = "auto"
    seed: int = 0
    operation_threads: int = 0


def warm_start_schedule(config: Config) -> Schedule:
    """That of the warm start, which runs to its end: it only prepares the denoiser's weights."""
    settings = config.denoiser
    common = _common(settings, settings.warm_start_epochs, config.seed)
    return replace(common, patience=0, operation_threads=settings.operation_threads)


def denoiser_schedule(config: Config) -> Schedule:
    """That of the denoiser."""
    settings = config.denoiser
    return replace(_common(settings, settings.epochs, config.seed), operation_threads=settings.operation_threads)


def classifier_schedule(config: Config) -> Schedule:
    """That of every classifier, whatever it sees."""
    settings = config.classifier
    return replace(_common(settings, settings.epochs, config.seed), keep_best=settings.keep == "best")


def _common(settings: DenoiserConfig | ClassifierConfig, epochs: int, seed: int) -> Schedule:
    return Schedule(
        epochs=epochs,
        rate=_decay(settings.learning_rate, epochs, settings.learning_rate_decay),
        patience=settings.patience,
        precision=settings.precision,
        seed=seed,
    )


def _decay(learning_rate: float, epochs: int, decay: str) -> Callable[[int], float]:
    """Learning rate by epoch: constant for the decay "none", else along half a cosine to zero."""
    if decay == "none":
        return lambda epoch: learning_rate
    return lambda epoch: learning_rate * 0.5 * (1.0 + math.cos(math.pi * epoch / epochs))
