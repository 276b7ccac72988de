import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from covidctnet.config import DenoiserConfig, ResidualConfig
from covidctnet.errors import BundleError, GeometryError
from covidctnet.networks import build_denoiser, compile_denoiser
from covidctnet.networks.keras_denoiser import KerasDenoiser
from covidctnet.residual import denoise, residual, residual_stack, stack_residual
from covidctnet.resize import resize

Array = NDArray[np.float32]
CONFIG = DenoiserConfig(filters=(4, 8, 16, 32))


@pytest.fixture(scope="module")
def network() -> Any:
    return build_denoiser(CONFIG, (32, 32), seed=1)


@pytest.fixture(scope="module")
def model(network: Any) -> KerasDenoiser:
    return KerasDenoiser(network)


def study(count: int, seed: int = 0, side: int = 32) -> Array:
    return np.random.default_rng(seed).random((count, side, side)).astype(np.float32)


class Streams:
    """A denoiser of several streams that waits until all of them are in use."""

    def __init__(self, streams: int) -> None:
        self.streams = streams
        self._meeting = threading.Barrier(streams, timeout=10)

    def __call__(self, batch: Array) -> Array:
        self._meeting.wait()
        return batch / 2


def halve(batch: Array) -> Array:
    return batch / 2


def recorder(shapes: list[tuple[int, ...]]) -> Callable[[Array], Array]:
    def record(batch: Array) -> Array:
        shapes.append(batch.shape)
        return batch

    return record


def test_a_slice_is_denoised_to_the_same_bits_whatever_else_is_in_the_study(model: Any) -> None:
    slices = study(11)
    together = denoise(model, slices, 4)
    for number in range(11):
        assert denoise(model, slices[number : number + 1], 4)[0].tobytes() == together[number].tobytes()
    backwards = denoise(model, np.ascontiguousarray(slices[::-1]), 4)[::-1]
    assert backwards.tobytes() == together.tobytes()
    others = np.concatenate([study(2, seed=9), slices[5:6], study(6, seed=8)])
    assert denoise(model, others, 4)[2].tobytes() == together[5].tobytes()


def test_results_are_the_model_s_in_inference_mode(network: Any, model: Any) -> None:
    slices = study(3)
    expected = np.asarray(network(slices[..., None], training=False))[..., 0]
    np.testing.assert_allclose(denoise(model, slices, 2), expected, rtol=0, atol=1e-6)


# Keras says so where an earlier test in the process asked for deterministic operations.
@pytest.mark.filterwarnings("ignore:Model doesn't support")
def test_how_a_model_was_compiled_does_not_change_a_bit(model: Any) -> None:
    plain = denoise(model, study(2), 2)
    twin = build_denoiser(CONFIG, (32, 32), seed=1)
    compile_denoiser(twin, CONFIG, jit_compile=True)
    assert denoise(KerasDenoiser(twin), study(2), 2).tobytes() == plain.tobytes()


def test_new_weights_are_used_at_once() -> None:
    twin = build_denoiser(CONFIG, (32, 32), seed=1)
    denoiser = KerasDenoiser(twin)
    before = denoise(denoiser, study(1), 2)
    twin.set_weights(build_denoiser(CONFIG, (32, 32), seed=2).get_weights())
    assert np.abs(denoise(denoiser, study(1), 2) - before).max() > 1e-3


def test_every_batch_has_the_same_shape_and_order_is_kept() -> None:
    shapes: list[tuple[int, ...]] = []
    slices = study(7)
    denoised = denoise(recorder(shapes), slices, 3)
    assert shapes == [(3, 32, 32, 1)] * 3
    np.testing.assert_array_equal(denoised, slices)


def test_streams_get_batches_at_once_and_order_is_kept() -> None:
    slices = study(12)
    np.testing.assert_array_equal(denoise(Streams(3), slices, 2), slices / 2)


def test_an_answer_of_another_shape_or_without_meaning_is_refused() -> None:
    with pytest.raises(BundleError, match=r"answered shape \(1, 32, 32, 1\) to slices of shape \(2, 32, 32, 1\)"):
        denoise(lambda batch: batch[:1], study(2), 2)
    with pytest.raises(BundleError, match="not finite"):
        denoise(lambda batch: batch * np.float32(np.nan), study(2), 2)


@pytest.mark.parametrize("slices", [np.zeros((0, 8, 8), np.float32), np.zeros((8, 8), np.float32), np.zeros((2, 8, 8))])
def test_what_is_no_stack_of_slices_is_refused(slices: Array) -> None:
    with pytest.raises(GeometryError, match=r"expected float32 slices \(z, y, x\), not float"):
        denoise(halve, slices, 2)


def test_a_batch_without_slices_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 1, not 0"):
        denoise(halve, study(2), 0)


def test_the_residual_is_signed() -> None:
    bright, dark = np.full((2, 4, 4), 0.75, np.float32), np.full((2, 4, 4), 0.5, np.float32)
    assert (residual(bright, dark) == 0.25).all()
    assert (residual(dark, bright) == -0.25).all()
    with pytest.raises(GeometryError, match=r"\(2, 4, 4\) and denoised slices \(1, 4, 4\) must have one shape"):
        residual(bright, dark[:1])


def test_the_stack_is_the_resized_residual() -> None:
    slices = study(40, side=24)
    config = ResidualConfig(shape=(16, 20, 24), batch_size=7)
    stack = residual_stack(slices, halve, config)
    assert stack.dtype == np.float32
    np.testing.assert_allclose(stack, resize(slices / 2, (16, 20, 24)), atol=1e-6)
    assert stack.tobytes() == stack_residual(slices, denoise(halve, slices, 7), config).tobytes()


def test_a_denoiser_that_changes_nothing_leaves_no_residual() -> None:
    assert not residual_stack(study(20), lambda batch: batch, ResidualConfig(shape=(16, 32, 32))).any()
