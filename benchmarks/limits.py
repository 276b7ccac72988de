"""What the machine could do at best, and how much work the networks are."""

import statistics
import time
from typing import Any

import numpy as np

from covidctnet.machine import usable_cores
from covidctnet.parallel import map_on_cores


def matrix_gflops(side: int = 4096, runs: int = 5) -> float:
    """Median 10^9 float32 operations a second of a matrix product on all cores, by the faster of two libraries.

    numpy's knows fewer instructions of new processors than oneDNN in TensorFlow.
    """
    import tensorflow as tf

    left, right = (np.random.default_rng(seed).random((side, side), np.float32) for seed in (0, 1))
    ours, theirs = tf.constant(left), tf.constant(right)
    seconds = [
        _median_seconds(lambda: left @ right, runs),
        _median_seconds(lambda: tf.linalg.matmul(ours, theirs).numpy(), runs),
    ]
    return 2e-9 * side**3 / min(seconds)


def copy_gbytes(megabytes: int = 256, runs: int = 7) -> float:
    """Median 10^9 bytes a second, read and written, of a copy on all cores."""
    source = np.ones(megabytes * 2**20 // 8)
    target = np.empty_like(source)
    parts = np.array_split(np.arange(len(source)), usable_cores())
    spans = [slice(int(part[0]), int(part[-1]) + 1) for part in parts]

    def copy(span: slice) -> None:
        np.copyto(target[span], source[span])

    return 2e-9 * source.nbytes / _median_seconds(lambda: map_on_cores(copy, spans), runs)


def _median_seconds(run: Any, runs: int) -> float:
    run()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def forward_flops(model: Any) -> float:
    """Operations of one sample's way through a network: two for each multiplication of its matrix products.

    Additions of biases, activations, pooling and normalisation are left out.
    """
    return 2.0 * sum(_multiplications(layer) for layer in model.layers)


def standard_flops(model: Any) -> float:
    """What `forward_flops` would be with Keras' own ConvLSTM2D: all gates and a recurrence in both of its steps."""
    return 2.0 * sum(_multiplications(layer) + _spared(layer) for layer in model.layers)


def _spared(layer: Any) -> float:
    if type(layer).__name__ != "TwoStepConvLSTM2D":
        return 0.0
    kernel, recurrent = (float(np.prod(weight.shape)) for weight in layer.weights[:2])
    return (0.25 * kernel + recurrent) * float(np.prod(layer.output.shape[1:-1]))


def _multiplications(layer: Any) -> float:
    kind, weights = type(layer).__name__, [tuple(weight.shape) for weight in layer.weights]
    if kind in {"Conv2D", "Conv3D"}:
        return float(np.prod(weights[0]) * np.prod(layer.output.shape[1:-1]))
    if kind == "Conv2DTranspose":
        return float(np.prod(weights[0]) * np.prod(layer.input.shape[1:-1]))
    if kind == "TwoStepConvLSTM2D":
        kernel, recurrent = np.prod(weights[0]), np.prod(weights[1])
        # The first step needs three of four gates and no recurrence.
        return float((0.75 * kernel + kernel + recurrent) * np.prod(layer.output.shape[1:-1]))
    return float(np.prod(weights[0])) if kind == "Dense" else 0.0
