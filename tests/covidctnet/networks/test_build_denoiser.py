from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from covidctnet.config import DenoiserConfig, load_profile
from covidctnet.errors import ConfigError
from covidctnet.networks import build_denoiser, compile_denoiser
from covidctnet.networks.conv_lstm import TwoStepConvLSTM2D

TINY = DenoiserConfig(filters=(2, 4, 8, 16))

# Keras 3.15 converts its variables in a way that numpy 2.4 warns of; the bytes are right.
saves = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def slices(count: int, side: int) -> np.ndarray:
    return np.random.default_rng(0).random((count, side, side, 1)).astype(np.float32)


@pytest.mark.parametrize("standard_lstm", [False, True])
def test_the_paper_s_sizes_make_its_number_of_parameters(standard_lstm: bool) -> None:
    config = load_profile("paper")
    model = build_denoiser(config.denoiser, config.preprocess.slice_size, standard_lstm=standard_lstm)
    assert model.count_params() == 5_167_365
    assert model.input_shape == model.output_shape == (None, 128, 128, 1)


def test_at_the_paper_s_sizes_it_equals_the_network_with_standard_convlstm() -> None:
    unrolled = build_denoiser(DenoiserConfig(), (128, 128))
    standard = build_denoiser(DenoiserConfig(), (128, 128), standard_lstm=True, seed=1)
    assert sum(isinstance(layer, TwoStepConvLSTM2D) for layer in unrolled.layers) == 3
    assert sum(isinstance(layer, keras.layers.ConvLSTM2D) for layer in standard.layers) == 3
    unrolled.set_weights(standard.get_weights())
    np.testing.assert_allclose(unrolled(slices(1, 128)), standard(slices(1, 128)), rtol=0, atol=1e-5)


def test_the_layout_is_the_paper_s() -> None:
    model = build_denoiser(DenoiserConfig(), (128, 128))
    channels = {layer.name: layer.output.shape[-1] for layer in model.layers}
    assert [channels[f"decoder{level}_lstm"] for level in (3, 2, 1)] == [64, 32, 16]
    assert [channels[f"decoder{level}_up"] for level in (3, 2, 1)] == [128, 64, 32]
    assert channels["dense3_inputs"] == 512
    assert channels["head"] == 2
    first, second = model.get_layer("decoder3_lstm").input
    assert first is model.get_layer("encoder3_dropout").output
    assert second is model.get_layer("decoder3_relu").output


def test_the_same_seed_gives_the_same_weights_with_either_convlstm_and_another_seed_others() -> None:
    first, again, other = (build_denoiser(TINY, (16, 16), seed=seed).get_weights() for seed in (3, 3, 4))
    standard = build_denoiser(TINY, (16, 16), seed=3, standard_lstm=True).get_weights()
    for a, b, c in zip(first, again, standard, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
    assert any(np.abs(a - b).max() > 0.01 for a, b in zip(first, other, strict=True))


def test_no_two_layers_of_one_shape_share_their_first_weights() -> None:
    kernels = [weight for weight in build_denoiser(TINY, (16, 16)).get_weights() if weight.ndim == 4]
    assert len({kernel.tobytes() for kernel in kernels}) == len(kernels)


def test_the_global_random_state_is_neither_read_nor_moved() -> None:
    keras.utils.set_random_seed(1)
    first = build_denoiser(TINY, (16, 16)).get_weights()
    after = np.random.random()
    keras.utils.set_random_seed(1)
    assert after == np.random.random()
    keras.utils.set_random_seed(2)
    second = build_denoiser(TINY, (16, 16)).get_weights()
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("blocks", [1, 2, 4])
def test_each_dense_block_reads_all_blocks_before_it(blocks: int) -> None:
    model = build_denoiser(replace(TINY, dense_blocks=blocks), (16, 24))
    assert tuple(model(np.zeros((1, 16, 24, 1), np.float32)).shape) == (1, 16, 24, 1)
    joined = [layer.output.shape[-1] for layer in model.layers if isinstance(layer, keras.layers.Concatenate)]
    assert joined == [16 * number for number in range(2, blocks)]


@saves
def test_it_learns_and_survives_saving(tmp_path: Path) -> None:
    model = compile_denoiser(build_denoiser(TINY, (16, 16), seed=1), replace(TINY, learning_rate=0.01))
    target = np.full((4, 16, 16, 1), 0.2, np.float32)
    losses = model.fit(slices(4, 16), target, epochs=12, verbose=0).history["loss"]
    assert losses[-1] < losses[0] - 0.05
    model.save(tmp_path / "denoiser.keras")
    loaded = keras.saving.load_model(tmp_path / "denoiser.keras")
    np.testing.assert_array_equal(
        ops.convert_to_numpy(loaded(slices(2, 16), training=False)),
        ops.convert_to_numpy(model(slices(2, 16), training=False)),
    )
    assert float(loaded.optimizer.learning_rate) == pytest.approx(0.01)


def test_dropout_acts_in_training_only() -> None:
    model = build_denoiser(TINY, (16, 16))
    batch = slices(1, 16)
    np.testing.assert_array_equal(model(batch, training=False), model(batch, training=False))
    assert np.abs(ops.convert_to_numpy(model(batch, training=True) - model(batch, training=True))).max() > 0


@pytest.mark.parametrize("size", [(20, 16), (16, 4), (127, 128)])
def test_sizes_that_cannot_be_halved_three_times_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match=rf"slice_size must hold multiples of 8, not \({size[0]}, {size[1]}\)"):
        build_denoiser(TINY, size)
