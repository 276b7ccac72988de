from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops
from numpy.typing import NDArray

from covidctnet.networks.conv_lstm import TwoStepConvLSTM2D

# Keras 3.15 converts its variables in a way that numpy 2.4 warns of; the bytes are right.
saves = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def maps(*shape: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    return rng.normal(size=shape).astype(np.float32), rng.normal(size=shape).astype(np.float32)


def standard(filters: int, *, go_backwards: bool = True) -> keras.layers.ConvLSTM2D:
    return keras.layers.ConvLSTM2D(
        filters, 3, padding="same", go_backwards=go_backwards, kernel_initializer="he_normal"
    )


def with_random_weights(layer: keras.layers.Layer) -> keras.layers.Layer:
    """A zero bias would hide a gate that is out of place."""
    rng = np.random.default_rng(1)
    layer.set_weights([rng.normal(scale=0.3, size=w.shape).astype(np.float32) for w in layer.get_weights()])
    return layer


@pytest.mark.parametrize(("filters", "channels"), [(3, 5), (8, 4), (1, 1)])
def test_it_equals_the_standard_layer_with_the_same_weights(filters: int, channels: int) -> None:
    first, second = maps(2, 9, 12, channels)
    unrolled, looped = TwoStepConvLSTM2D(filters), standard(filters)
    sequence = np.stack([first, second], axis=1)
    looped.build(sequence.shape)
    unrolled.build([first.shape, second.shape])
    with_random_weights(looped)
    unrolled.set_weights(looped.get_weights())
    np.testing.assert_allclose(unrolled([first, second]), looped(sequence), rtol=0, atol=1e-5)


def test_the_second_map_is_read_first() -> None:
    first, second = maps(1, 6, 6, 2)
    unrolled = TwoStepConvLSTM2D(4)
    unrolled.build([first.shape, second.shape])
    with_random_weights(unrolled)
    forwards = standard(4, go_backwards=False)
    forwards.build((1, 2, 6, 6, 2))
    forwards.set_weights(unrolled.get_weights())
    np.testing.assert_allclose(
        unrolled((first, second)), forwards(np.stack([second, first], axis=1)), rtol=0, atol=1e-5
    )
    assert np.abs(ops.convert_to_numpy(unrolled([first, second]) - unrolled([second, first]))).max() > 1e-2


def test_weights_have_the_names_shapes_and_order_of_the_standard_layer() -> None:
    unrolled, looped = TwoStepConvLSTM2D(3), standard(3)
    unrolled.build([(None, 8, 8, 2)] * 2)
    looped.build((None, 2, 8, 8, 2))
    assert [(w.name, w.shape) for w in unrolled.weights] == [(w.name, w.shape) for w in looped.weights]
    np.testing.assert_array_equal(unrolled.get_weights()[2], looped.get_weights()[2])


def test_gradients_equal_those_of_the_standard_layer() -> None:
    import tensorflow as tf

    first, second = maps(1, 5, 5, 2)
    unrolled, looped = TwoStepConvLSTM2D(2), standard(2)
    unrolled.build([first.shape, second.shape])
    looped.build((1, 2, 5, 5, 2))
    with_random_weights(unrolled)
    looped.set_weights(unrolled.get_weights())
    gradients = []
    for layer, inputs in ((unrolled, [first, second]), (looped, np.stack([first, second], axis=1))):
        with tf.GradientTape() as tape:
            loss = ops.sum(ops.square(layer(inputs)))
        gradients.append(tape.gradient(loss, [weight.value for weight in layer.trainable_variables]))
    for mine, theirs in zip(*gradients, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-4)


def test_the_batch_may_be_unknown_and_the_size_may_vary() -> None:
    inputs = [keras.Input((None, None, 3)), keras.Input((None, None, 3))]
    outputs = TwoStepConvLSTM2D(4)(inputs)
    assert outputs.shape == (None, None, None, 4)
    model = keras.Model(inputs, outputs)
    assert [tuple(model(list(maps(1, side, side, 3))).shape) for side in (4, 7)] == [
        (1, 4, 4, 4),
        (1, 7, 7, 4),
    ]


@saves
def test_it_survives_saving_and_loading(tmp_path: Path) -> None:
    inputs = [keras.Input((6, 6, 2)), keras.Input((6, 6, 2))]
    layer = TwoStepConvLSTM2D(3, kernel_size=5, kernel_initializer=keras.initializers.HeUniform(3), name="fuse")
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    copy = loaded.get_layer("fuse")
    assert isinstance(copy, TwoStepConvLSTM2D)
    assert copy.get_config() == layer.get_config()
    pair = list(maps(2, 6, 6, 2))
    np.testing.assert_array_equal(loaded(pair), model(pair))


def test_two_different_feature_maps_or_another_number_are_refused() -> None:
    first, second = maps(1, 4, 4, 2)
    with pytest.raises(ValueError, match=r"expected two feature maps \(batch, y, x, channels\) alike"):
        TwoStepConvLSTM2D(2)([first, second[..., :1]])
    with pytest.raises(ValueError, match=r"expected a list of two feature maps"):
        TwoStepConvLSTM2D(2)([first, second, first])
