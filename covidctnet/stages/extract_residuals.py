"""Preprocessed slices -> residual stacks, with the denoiser that the bundle will hold."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from covidctnet.config import Config
from covidctnet.distribution import study_statistics
from covidctnet.progress import Progress, silent
from covidctnet.residual import denoise, residual, stack_residual
from covidctnet.stages.preprocess_cohort import PreparedCase
from covidctnet.training.classifier import Stacks


def extract_residuals(
    cases: Sequence[PreparedCase], denoiser: Any, config: Config, *, on_progress: Progress = silent
) -> tuple[Stacks, list[dict[str, float]]]:
    """Residual stacks of several cases.

    Returns:
        Stacks with axes (case, z, y, x), and by case the statistics that tell later whether a study is unlike them.
    """
    stacks = np.empty((len(cases), *config.residual.shape), np.float32)
    statistics = []
    for index, case in enumerate(cases):
        slices = case.slices()
        denoised = denoise(denoiser, slices, config.residual.batch_size)
        stacks[index] = stack_residual(slices, denoised, config.residual)
        statistics.append(study_statistics(slices, residual(slices, denoised)))
        on_progress("extract residuals", index + 1, len(cases))
    return stacks, statistics
