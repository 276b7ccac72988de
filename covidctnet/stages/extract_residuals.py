"""Preprocessed slices -> residual stacks, with the denoiser that the bundle will hold."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from covidctnet.config import Config
from covidctnet.progress import Progress, silent
from covidctnet.residual import denoise, stack_residual
from covidctnet.stages.preprocess_cohort import PreparedCase
from covidctnet.training.classifier import Stacks


def extract_residuals(
    cases: Sequence[PreparedCase], denoiser: Any, config: Config, *, on_progress: Progress = silent
) -> tuple[Stacks, list[float]]:
    """Residual stacks of several cases.

    Returns:
        Stacks with axes (case, z, y, x), and each case's mean absolute residual over all its slices.
    """
    stacks = np.empty((len(cases), *config.residual.shape), np.float32)
    energies = []
    for index, case in enumerate(cases):
        slices = case.slices()
        denoised = denoise(denoiser, slices, config.residual.batch_size)
        stacks[index] = stack_residual(slices, denoised, config.residual)
        energies.append(float(np.abs(slices - denoised).mean()))
        on_progress("extract residuals", index + 1, len(cases))
    return stacks, energies
