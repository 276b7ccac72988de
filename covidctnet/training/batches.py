"""Batches as a `tf.data` pipeline: drawn beside the training step, the same for a seed on every run."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Batch = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Inputs and targets, the batch along the first axis of both."""

_AHEAD = 2


class Batches(Protocol):
    """Batches by epoch and place; the same numbers give the same bytes, in whatever order they are asked for."""

    def __len__(self) -> int:
        """Batches an epoch."""
        ...

    def batch(self, epoch: int, index: int) -> Batch:
        """One batch, from 0."""
        ...


def stream(batches: Batches, epoch: int, first: int = 0) -> Any:
    """A `tf.data` dataset of the batches of one epoch.

    Args:
        batches: where they come from.
        epoch: from 0.
        first: leave out so many batches, which an earlier run has seen.
    """
    import tensorflow as tf

    inputs, targets = batches.batch(epoch, first)

    def draw(index: Any) -> tuple[Any, Any]:
        drawn = tf.numpy_function(
            lambda place: batches.batch(epoch, int(place)), [index], (tf.float32, tf.float32), stateful=False
        )
        for tensor, like in zip(drawn, (inputs, targets), strict=True):
            tensor.set_shape((None, *like.shape[1:]))
        return drawn[0], drawn[1]

    numbers = tf.data.Dataset.range(first, len(batches))
    return numbers.map(draw, num_parallel_calls=_AHEAD, deterministic=True).prefetch(_AHEAD)
