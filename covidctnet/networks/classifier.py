"""The 3D convolutional network that tells Control, Covid-19 and CAP apart."""

import keras
from keras import layers

from covidctnet.config import ClassifierConfig
from covidctnet.errors import ConfigError
from covidctnet.labels import LABELS
from covidctnet.networks.seeds import LayerSeeds


def build_classifier(config: ClassifierConfig, shape: tuple[int, int, int], *, seed: int = 0) -> keras.Model:
    """Build the untrained classifier (paper, Methods, "Classification"; layout of its published code).

    Takes residual stacks of shape (batch, z, y, x, 1), gives probabilities of shape (batch, 3) in the
    order of `LABELS`. The paper's sizes, 50 x 128 x 128, make 920,715 parameters.

    Args:
        config: filters of each stage, dense units, dropout.
        shape: (z, y, x) of a residual stack, in voxels.
        seed: of initial weights and dropout.

    Raises:
        ConfigError: there is no stage, or the stages' poolings leave nothing of that shape.
    """
    stages = len(config.filters)
    if not stages:
        raise ConfigError("classifier.filters must name at least one stage, not ()")
    if any((side - 2) >> stages < 1 for side in shape):
        raise ConfigError(
            f"a residual stack of shape {tuple(shape)} is too small for {stages} stages of pooling: each "
            f"side must be at least {2**stages + 2}; enlarge residual.shape or shorten classifier.filters"
        )
    seeds = LayerSeeds(seed)
    stack = keras.Input((*shape, 1), name="residual")
    # He's initialisation expects inputs of unit spread; residuals are far smaller.
    features = stack if config.input_gain == 1.0 else layers.Rescaling(config.input_gain, name="gain")(stack)
    for stage, filters in enumerate(config.filters, start=1):
        for letter in "ab":
            features = layers.Conv3D(
                filters,
                3,
                # Only the very first convolution goes without padding, as in the published code.
                padding="valid" if (stage, letter) == (1, "a") else "same",
                activation="relu",
                kernel_initializer=keras.initializers.HeUniform(seeds()),
                name=f"stage{stage}{letter}",
            )(features)
        features = layers.MaxPooling3D(2, name=f"stage{stage}_pool")(features)
    features = layers.Flatten(name="flatten")(features)
    features = layers.Dense(
        config.dense_units,
        activation="relu",
        kernel_initializer=keras.initializers.HeUniform(seeds()),
        name="dense",
    )(features)
    features = layers.Dropout(config.dropout, seed=seeds(), name="dropout")(features)
    probabilities = layers.Dense(
        len(LABELS),
        activation="softmax",
        dtype="float32",
        kernel_initializer=keras.initializers.GlorotUniform(seeds()),
        name="probabilities",
    )(features)
    return keras.Model(stack, probabilities, name="classifier")


def compile_classifier(model: keras.Model, config: ClassifierConfig, *, jit_compile: bool = False) -> keras.Model:
    """Set Adam and categorical cross-entropy (paper, Methods, "Classification"); returns the same model.

    Args:
        model: what `build_classifier` gave; targets are one-hot, shape (batch, 3).
        config: holds the learning rate, the bound of the gradients and the smoothing of the targets.
        jit_compile: compile by XLA.
    """
    model.compile(
        optimizer=keras.optimizers.Adam(config.learning_rate, clipnorm=config.gradient_clip or None),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing),
        metrics=["accuracy"],
        jit_compile=jit_compile,
    )
    return model
