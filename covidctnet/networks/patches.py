"""A small 2D network for patches of lung: the baseline that the paper tried (Discussion, "patch-based")."""

import keras
from keras import layers

from covidctnet.errors import ConfigError
from covidctnet.labels import LABELS
from covidctnet.networks.seeds import LayerSeeds

FILTERS = (16, 32, 64)
"""Of the stages; the paper gives no layout. Each stage has two convolutions and one pooling, as its 3D network."""


def build_patch_classifier(side: int, *, dropout: float, seed: int = 0) -> keras.Model:
    """Build the untrained network: patches (batch, y, x, 1), 0 to 1 -> probabilities (batch, 3).

    Args:
        side: of a patch in pixels.
        dropout: before the last layer.
        seed: of initial weights and dropout.

    Raises:
        ConfigError: the stages' poolings leave nothing of a patch.
    """
    if side >> len(FILTERS) < 1:
        raise ConfigError(f"a patch of {side} pixels is too small for {len(FILTERS)} stages; use larger slices")
    seeds = LayerSeeds(seed)
    patch = keras.Input((side, side, 1), name="patch")
    features = patch
    for stage, filters in enumerate(FILTERS, start=1):
        for letter in "ab":
            features = layers.Conv2D(
                filters,
                3,
                padding="same",
                activation="relu",
                kernel_initializer=keras.initializers.HeUniform(seeds()),
                name=f"stage{stage}{letter}",
            )(features)
        features = layers.MaxPooling2D(2, name=f"stage{stage}_pool")(features)
    features = layers.GlobalAveragePooling2D(name="average")(features)
    features = layers.Dropout(dropout, seed=seeds(), name="dropout")(features)
    probabilities = layers.Dense(
        len(LABELS),
        activation="softmax",
        dtype="float32",
        kernel_initializer=keras.initializers.GlorotUniform(seeds()),
        name="probabilities",
    )(features)
    return keras.Model(patch, probabilities, name="patch_classifier")
