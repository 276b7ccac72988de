"""BCDU-Net: a U-Net with densely connected bottleneck and ConvLSTM skip connections."""

from typing import Any

import keras
from keras import layers, ops

from covidctnet.config import DenoiserConfig
from covidctnet.errors import ConfigError
from covidctnet.networks.conv_lstm import TwoStepConvLSTM2D
from covidctnet.networks.seeds import LayerSeeds


def build_denoiser(
    config: DenoiserConfig,
    slice_size: tuple[int, int],
    *,
    standard_lstm: bool = False,
    synchronized: bool = False,
    seed: int = 0,
) -> keras.Model:
    """Build the untrained denoiser (paper, Methods, "BCDU-Net"; layout of its published code).

    Takes and gives slices of shape (batch, y, x, 1); the answer lies between 0 and 1. The paper's sizes
    make 5,167,365 parameters.

    Args:
        config: filters of the three levels and the bottleneck, dense blocks, dropout.
        slice_size: (y, x) in pixels, each a multiple of 8 for the three poolings.
        standard_lstm: use Keras's ConvLSTM2D instead of the unrolled layer; same weights, same answer.
        synchronized: normalise over the batches of all replicas, so that they keep the same statistics.
        seed: of initial weights and dropout.

    Raises:
        ConfigError: a side of the slices is no positive multiple of 8.
    """
    levels = config.filters[:-1]
    step = 2 ** len(levels)
    if any(side < step or side % step for side in slice_size):
        raise ConfigError(f"preprocess.slice_size must hold multiples of {step}, not {tuple(slice_size)}")
    blocks = _Blocks(config, standard_lstm, synchronized, LayerSeeds(seed))

    slices = keras.Input((*slice_size, 1), name="slices")
    features, skips = slices, []
    for number, filters in enumerate(levels, start=1):
        features = blocks.convolutions(features, filters, f"encoder{number}")
        skips.append(features)
        features = layers.MaxPooling2D(2, name=f"encoder{number}_pool")(features)
    skips[-1] = blocks.dropout(skips[-1], f"encoder{len(levels)}_dropout")
    features = blocks.dense_bottleneck(features)
    for number, filters, skip in reversed(list(zip(range(1, len(levels) + 1), levels, skips, strict=True))):
        features = blocks.decode(features, skip, filters, f"decoder{number}")
    features = blocks.convolution(features, 2, "head")
    denoised = layers.Conv2D(
        1,
        1,
        activation="sigmoid",
        dtype="float32",
        kernel_initializer=OpposedSigns(blocks.seeds()),
        name="denoised",
    )(features)
    return keras.Model(slices, denoised, name="denoiser")


def compile_denoiser(model: keras.Model, config: DenoiserConfig, *, jit_compile: bool = False) -> keras.Model:
    """Set Adam and binary cross-entropy (paper, Methods, "BCDU-Net"); returns the same model.

    Args:
        model: what `build_denoiser` gave.
        config: holds the learning rate.
        jit_compile: compile by XLA; not with the standard ConvLSTM, which then takes minutes to compile.
    """
    model.compile(
        optimizer=keras.optimizers.Adam(config.learning_rate),
        loss="binary_crossentropy",
        jit_compile=jit_compile,
    )
    return model


@keras.saving.register_keras_serializable(package="covidctnet")
class OpposedSigns(keras.initializers.Initializer):
    """Weights that alternate in sign over the input channels, 0.5 to 1.5 in size.

    The head has two ReLU channels. Where both weigh in with one sign, the gradient of the first steps
    silences them, and the network learns a constant (docs/adr/0008).

    Args:
        seed: of the sizes.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> Any:
        """Draw weights of shape (y, x, input channels, output channels)."""
        sizes = keras.random.uniform(shape, 0.5, 1.5, dtype=dtype, seed=self.seed)
        signs = [(-1.0) ** channel for channel in range(shape[2])]
        return sizes * ops.reshape(ops.convert_to_tensor(signs, dtype=sizes.dtype), (1, 1, -1, 1))

    def get_config(self) -> dict[str, Any]:
        """Arguments, for saving."""
        return {"seed": self.seed}


class _Blocks:
    """The denoiser's building blocks; each gives its layers a name and a seed."""

    def __init__(self, config: DenoiserConfig, standard_lstm: bool, synchronized: bool, seeds: LayerSeeds) -> None:
        self.config = config
        self.standard_lstm = standard_lstm
        self.synchronized = synchronized
        self.seeds = seeds

    def convolution(self, features: Any, filters: int, name: str) -> Any:
        return layers.Conv2D(
            filters,
            3,
            padding="same",
            activation="relu",
            kernel_initializer=keras.initializers.HeNormal(self.seeds()),
            name=name,
        )(features)

    def convolutions(self, features: Any, filters: int, name: str) -> Any:
        for letter in "ab":
            features = self.convolution(features, filters, f"{name}{letter}")
        return features

    def dropout(self, features: Any, name: str) -> Any:
        return layers.Dropout(self.config.dropout, seed=self.seeds(), name=name)(features)

    def dense_bottleneck(self, features: Any) -> Any:
        """Blocks that each read all blocks before them, the newest first."""
        outputs: list[Any] = []
        for number in range(1, self.config.dense_blocks + 1):
            if len(outputs) > 1:
                features = layers.Concatenate(name=f"dense{number}_inputs")(outputs[::-1])
            features = self.convolutions(features, self.config.filters[-1], f"dense{number}")
            features = self.dropout(features, f"dense{number}_dropout")
            outputs.append(features)
        return features

    def decode(self, features: Any, skip: Any, filters: int, name: str) -> Any:
        """Upsample, fuse with the encoder's features of that level, convolve."""
        upsampled = layers.Conv2DTranspose(
            filters,
            2,
            strides=2,
            padding="same",
            kernel_initializer=keras.initializers.HeNormal(self.seeds()),
            name=f"{name}_up",
        )(features)
        upsampled = layers.BatchNormalization(synchronized=self.synchronized, name=f"{name}_norm")(upsampled)
        upsampled = layers.ReLU(name=f"{name}_relu")(upsampled)
        fused = self.conv_lstm(skip, upsampled, max(1, filters // 2), f"{name}_lstm")
        return self.convolutions(fused, filters, name)

    def conv_lstm(self, first: Any, second: Any, filters: int, name: str) -> Any:
        kernel = keras.initializers.HeNormal(self.seeds())
        recurrent = keras.initializers.Orthogonal(seed=self.seeds())
        seed = self.seeds()
        if not self.standard_lstm:
            return TwoStepConvLSTM2D(filters, kernel_initializer=kernel, recurrent_initializer=recurrent, name=name)(
                [first, second]
            )
        return layers.ConvLSTM2D(
            filters,
            3,
            padding="same",
            go_backwards=True,
            kernel_initializer=kernel,
            recurrent_initializer=recurrent,
            seed=seed,
            name=name,
        )(ops.stack([first, second], axis=1))
