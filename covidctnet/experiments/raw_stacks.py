"""Stacks without a denoiser, for the arms of the ablation that have none."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from covidctnet.config import Config
from covidctnet.progress import Progress, silent
from covidctnet.stages.extract_residuals import extract_residuals
from covidctnet.training.pseudo_infection import add_pseudo_infection, find_lungs
from covidctnet.volume import UnitArray


def stack_slices(
    slices: Path, config: Config, output: Path, *, with_noise: bool, on_progress: Progress = silent
) -> list[str]:
    """The stacks of a shard as `extract_residuals` would write them, of the slices themselves.

    Args:
        slices: holds `<case>.npy`, float32 (z, y, x).
        config: residual shape, noise and seed.
        output: receives what `extract_residuals` writes.
        with_noise: draw a pseudo-infection into the share of slices that the denoiser would see noisy.
        on_progress: told of each finished case.

    Returns:
        Names of the cases.
    """

    def change(name: str, array: UnitArray) -> UnitArray:
        return _add_noise(name, array, config) if with_noise else array

    return extract_residuals(slices, _nothing, config, output, change=change, on_progress=on_progress)


def _nothing(batch: NDArray[np.float32], /) -> NDArray[np.float32]:
    """Stands for a denoiser that gives back nothing: the residual is then the slice itself."""
    return np.zeros_like(batch)


def _add_noise(name: str, array: UnitArray, config: Config) -> UnitArray:
    lungs = find_lungs(array, config.preprocess)
    noisy = array.copy()
    for number in range(len(array)):
        rng = np.random.default_rng((config.seed, *name.encode(), number))
        if rng.random() < config.noise.noisy_fraction:
            noisy[number] = add_pseudo_infection(array[number], lungs[number], rng, config.noise)
    return noisy
