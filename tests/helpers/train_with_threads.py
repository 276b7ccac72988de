"""Train a denoiser whose operations use so many cores; prints how many TensorFlow says they use, 0 for all.

Usage: python -m tests.helpers.train_with_threads THREADS
"""

import sys

from covidctnet.training.denoiser import train_denoiser
from tests.covidctnet.training.test_train_denoiser import config, healthy


def main(threads: int) -> None:
    """Train for an epoch."""
    train_denoiser(healthy(8), healthy(8, 1), config(epochs=1, operation_threads=threads))

    import tensorflow as tf

    sys.stdout.write(f"{tf.config.threading.get_intra_op_parallelism_threads()}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
