"""A convolutional LSTM over two feature maps, unrolled."""

from typing import Any

import keras
from keras import ops

Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable(package="covidctnet")
class TwoStepConvLSTM2D(keras.layers.Layer):
    """Fuses two feature maps as a convolutional LSTM reads them from the second to the first.

    Equal to `keras.layers.ConvLSTM2D(filters, kernel_size, padding="same", go_backwards=True)` on the
    sequence [first, second], and its weights (`kernel`, `recurrent_kernel`, `bias`, gates in the order
    input, forget, cell, output) are interchangeable with that layer's. Two steps from a zero state need no
    loop: the first step has nothing to forget and no recurrent convolution, the second is one convolution
    over input and hidden state together (paper, Methods, "BCDU-Net"; Shi et al. 2015 for the cell).

    Args:
        filters: channels of the output.
        kernel_size: side of the square kernels, in pixels.
        kernel_initializer: for the input kernel.
        recurrent_initializer: for the recurrent kernel.

    Call with two tensors of shape (batch, y, x, channels), as a list or tuple [first, second]; the answer
    is the last hidden state, shape (batch, y, x, filters), between -1 and 1.

    Raises:
        ValueError: the input is not two feature maps of equal shape with known channels.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        *,
        kernel_initializer: Any = "he_normal",
        recurrent_initializer: Any = "orthogonal",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.recurrent_initializer = keras.initializers.get(recurrent_initializer)

    def build(self, input_shape: Any) -> None:
        """Create the weights for two inputs of shape (batch, y, x, channels)."""
        first, second = _two(input_shape)
        if len(first) != 4 or tuple(first) != tuple(second) or first[-1] is None:
            raise ValueError(f"expected two feature maps (batch, y, x, channels) alike, not {input_shape}")
        side, filters = self.kernel_size, self.filters
        self.kernel = self.add_weight(
            name="kernel", shape=(side, side, first[-1], 4 * filters), initializer=self.kernel_initializer
        )
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel",
            shape=(side, side, filters, 4 * filters),
            initializer=self.recurrent_initializer,
        )
        self.bias = self.add_weight(name="bias", shape=(4 * filters,), initializer=_unit_forget_bias)

    def call(self, inputs: Any) -> Any:
        """Hidden state after the second and then the first feature map."""
        first, second = _two(inputs)
        count = self.filters
        kernel, bias = self.kernel, self.bias
        # Against a zero cell state the forget gate multiplies nothing: its quarter is left out.
        kernel_without_forget = ops.concatenate([kernel[..., :count], kernel[..., 2 * count :]], axis=-1)
        bias_without_forget = ops.concatenate([bias[:count], bias[2 * count :]], axis=-1)
        gates = ops.conv(second, kernel_without_forget, padding="same") + bias_without_forget
        write, candidate, expose = ops.split(gates, 3, axis=-1)
        cell = ops.sigmoid(write) * ops.tanh(candidate)
        hidden = ops.sigmoid(expose) * ops.tanh(cell)

        both = ops.concatenate([first, hidden], axis=-1)
        gates = ops.conv(both, ops.concatenate([kernel, self.recurrent_kernel], axis=2), padding="same") + bias
        write, forget, candidate, expose = ops.split(gates, 4, axis=-1)
        cell = ops.sigmoid(forget) * cell + ops.sigmoid(write) * ops.tanh(candidate)
        return ops.sigmoid(expose) * ops.tanh(cell)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Shape (batch, y, x, filters)."""
        return (*tuple(_two(input_shape)[0])[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, for saving."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "recurrent_initializer": keras.initializers.serialize(self.recurrent_initializer),
        }


def _two(pair: Any) -> tuple[Any, Any]:
    if not isinstance(pair, (list, tuple)) or len(pair) != 2:
        raise ValueError(f"expected a list of two feature maps [first, second], not {pair!r}")
    return pair[0], pair[1]


def _unit_forget_bias(shape: tuple[int, ...], dtype: Any = None) -> Any:
    """Ones for the forget gate, zeros elsewhere (Jozefowicz et al. 2015), as Keras does."""
    quarter = shape[0] // 4
    zeros, ones = ops.zeros((quarter,), dtype=dtype), ops.ones((quarter,), dtype=dtype)
    return ops.concatenate([zeros, ones, zeros, zeros], axis=0)
