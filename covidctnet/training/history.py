"""What both trainings share: losses by epoch, progress and the stop at a loss that is no number."""

import math
from collections.abc import Callable

import keras

from covidctnet.errors import TrainingError

History = dict[str, list[float]]
"""Values by epoch, by name: `loss`, `val_loss`, and the metrics that the network was compiled with."""


class EpochProgress(keras.callbacks.Callback):
    """Tell a caller how many epochs are finished."""

    def __init__(self, on_epoch: Callable[[int, int], None]) -> None:
        super().__init__()
        self._on_epoch = on_epoch

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Count the epoch."""
        self._on_epoch(epoch + 1, int(self.params["epochs"]))


class _StopOnNaN(keras.callbacks.Callback):
    def __init__(self, network: str) -> None:
        super().__init__()
        self._network = network

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        loss = (logs or {}).get("loss", math.nan)
        if not math.isfinite(loss):
            raise TrainingError(
                f"the {self._network}'s loss is {loss} after epoch {epoch + 1}; lower its learning_rate"
            )


def stop_on_nan(network: str) -> keras.callbacks.Callback:
    """A callback that raises TrainingError when an epoch's loss is not finite."""
    return _StopOnNaN(network)


def decay(learning_rate: float, epochs: int) -> keras.callbacks.Callback:
    """A callback that lowers the learning rate along half a cosine, from its start to zero."""
    return keras.callbacks.LearningRateScheduler(
        lambda epoch, rate: learning_rate * 0.5 * (1.0 + math.cos(math.pi * epoch / epochs))
    )
