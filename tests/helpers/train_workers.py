"""Train the small denoiser as one of several workers on loopback; writes its weights and last losses.

Usage: COVIDCTNET_WORKERS=... JOB_COMPLETION_INDEX=... python -m tests.helpers.train_workers OUTPUT [plain]

With `plain`: stochastic gradient descent, for which the number of workers must not matter beyond rounding.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from covidctnet.training.workers import join_workers


def main(output: Path, plain: bool) -> None:
    """Train for two epochs without dropout."""
    join_workers()
    import keras

    from covidctnet.training import denoiser as training
    from tests.covidctnet.training.test_train_denoiser import config, healthy

    if plain:

        def descend(model: Any, settings: Any, **_: Any) -> Any:
            model.compile(optimizer=keras.optimizers.SGD(0.05), loss="binary_crossentropy")
            return model

        training.compile_denoiser = descend
    settings = config(epochs=2, batch_size=8)
    model, history = training.train_denoiser(healthy(32), healthy(8, 1), settings)
    np.savez(output, history=json.dumps(history), **{str(n): w for n, w in enumerate(model.get_weights())})


if __name__ == "__main__":
    main(Path(sys.argv[1]), "plain" in sys.argv[2:])
