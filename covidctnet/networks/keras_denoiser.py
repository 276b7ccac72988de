"""The denoiser on Keras and TensorFlow: for GPUs, and to compare with."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


class KerasDenoiser:
    """A Keras model in inference mode as a function of one batch, traced once.

    Args:
        model: slices float32 (batch, y, x, 1) -> denoised slices; new weights are used at once.
    """

    streams = 1
    """Batches that run side by side; TensorFlow spreads one over all cores or runs it on the GPU."""

    def __init__(self, model: Any) -> None:
        import tensorflow as tf

        # XLA stays off whatever the model was compiled with: it rounds differently.
        self._run = tf.function(lambda batch: model(batch, training=False), jit_compile=False)

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Denoise one batch of float32 slices, shape (batch, y, x, 1)."""
        denoised: NDArray[np.float32] = self._run(batch).numpy()
        return denoised
