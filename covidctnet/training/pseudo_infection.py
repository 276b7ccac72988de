"""Draw pseudo-infections into clean slices."""

import numpy as np

from covidctnet.config import NoiseConfig, PreprocessConfig
from covidctnet.lungs import segment_aerated
from covidctnet.perlin import pseudo_infection
from covidctnet.preprocess import to_hounsfield
from covidctnet.volume import BoolArray, UnitArray


def find_lungs(slices: UnitArray, config: PreprocessConfig) -> BoolArray:
    """Mark aerated lung in preprocessed slices of one case, axes (z, y, x)."""
    return segment_aerated(to_hounsfield(slices, config))


def add_pseudo_infection(clean: UnitArray, lung: BoolArray, rng: np.random.Generator, config: NoiseConfig) -> UnitArray:
    """Draw one pseudo-infection into one slice.

    `whole slice` adds the Perlin field everywhere, as the paper does. `lung` fills the aerated lung up to
    a drawn density where the field is strong: the network then has to decide place by place what is
    healthy, and keeps the chest wall as it is.

    Args:
        clean: one slice, axes (y, x), 0 to 1.
        lung: aerated lung of that slice.
        rng: source of the noise.
        config: its ranges.

    Returns:
        The noisy slice, axes (y, x); not clipped.
    """
    field = pseudo_infection(rng, (clean.shape[0], clean.shape[1]), config)
    if config.placement == "whole slice":
        return np.asarray(clean + field, np.float32)
    threshold = rng.uniform(*config.fill_threshold)
    softness = rng.uniform(*config.fill_softness)
    density = rng.uniform(*config.fill_density)
    opacity = np.clip((field - threshold) / softness, 0.0, 1.0) * lung
    return np.asarray(clean + opacity * np.maximum(density - clean, 0.0), np.float32)
