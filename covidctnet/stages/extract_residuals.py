"""Preprocessed slices -> residual stacks, with the denoiser that the bundle will hold."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from covidctnet.config import Config
from covidctnet.distribution import study_statistics
from covidctnet.progress import Progress, silent
from covidctnet.residual import Denoiser, denoise, residual, stack_residual
from covidctnet.stages.preprocess_cohort import PreparedCase
from covidctnet.training.classifier import Stacks


def extract_residuals(
    cases: Sequence[PreparedCase], denoiser: Denoiser, config: Config, path: Path, *, on_progress: Progress = silent
) -> tuple[Stacks, list[dict[str, float]]]:
    """Residual stacks of several cases.

    Args:
        cases: whose slices are read one after the other.
        denoiser: as it was written.
        config: residual shape and batch size.
        path: the .npy file that holds the stacks; they stay on disk, for a cohort may be larger than memory.
        on_progress: told of each finished case.

    Returns:
        Memory-mapped stacks with axes (case, z, y, x), and by case the statistics that tell later whether a
        study is unlike them.
    """
    shape = (len(cases), *config.residual.shape)
    partial = path.with_suffix(".partial.npy")
    stacks = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float32, shape=shape)
    statistics = []
    for index, case in enumerate(cases):
        slices = case.slices()
        denoised = denoise(denoiser, slices, config.residual.batch_size)
        stacks[index] = stack_residual(slices, denoised, config.residual)
        statistics.append(study_statistics(slices, residual(slices, denoised)))
        on_progress("extract residuals", index + 1, len(cases))
    stacks.flush()
    os.replace(partial, path)
    found: Stacks = np.load(path, mmap_mode="r")
    return found, statistics
