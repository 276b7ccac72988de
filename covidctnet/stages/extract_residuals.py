"""Preprocessed slices of a shard -> residual stacks, with the denoiser that the bundle will hold."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covidctnet.config import Config
from covidctnet.distribution import hu_quantiles, study_statistics
from covidctnet.files import read_json, write_json
from covidctnet.progress import Progress, silent
from covidctnet.residual import Denoiser, denoise, residual, stack_residual
from covidctnet.volume import UnitArray

_STACKS, _ROWS = "stacks.npy", "cases.json"


def extract_residuals(
    slices: Path,
    denoiser: Denoiser,
    config: Config,
    output: Path,
    *,
    change: Callable[[str, UnitArray], UnitArray] = lambda case, array: array,
    on_progress: Progress = silent,
) -> list[str]:
    """Residual stacks of all cases of a shard, one after the other.

    Args:
        slices: holds `<case>.npy`, float32 (z, y, x).
        denoiser: as it was written, on the backend that serving uses.
        config: residual shape and batch size, and which quantiles are kept.
        output: receives `stacks.npy`, float32 (case, z, y, x), filled on disk case by case, and `cases.json`
            with the name of each case and the statistics that tell later whether a study is unlike it.
        change: makes other slices of a case's; experiments draw noise into them.
        on_progress: told of each finished case.

    Returns:
        Names of the cases, in the order of the stacks.
    """
    paths = sorted(slices.glob("*.npy"))
    output.mkdir(parents=True, exist_ok=True)
    rows = []
    partial = output / f"{_STACKS}.partial"
    stacks = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float32, shape=(len(paths), *config.residual.shape))
    for index, path in enumerate(paths):
        array = change(path.stem, np.load(path))
        denoised = denoise(denoiser, array, config.residual.batch_size)
        stacks[index] = stack_residual(array, denoised, config.residual)
        rows.append(
            {
                "case": path.stem,
                "statistics": study_statistics(array, residual(array, denoised)),
                "hu_quantiles": hu_quantiles(array, config),
            }
        )
        on_progress("extract residuals", index + 1, len(paths))
    stacks.flush()
    os.replace(partial, output / _STACKS)
    write_json(output / _ROWS, rows)
    return [path.stem for path in paths]


@dataclass(frozen=True, kw_only=True)
class ResidualStacks:
    """Residual stacks of all shards, left on disk.

    Attributes:
        stacks: by case, float32 (z, y, x), memory-mapped.
        statistics: by case, see `distribution.study_statistics`.
        hu_quantiles: by case, see `distribution.hu_quantiles`.
    """

    stacks: dict[str, NDArray[np.float32]]
    statistics: dict[str, dict[str, float]]
    hu_quantiles: dict[str, dict[str, float]]

    @classmethod
    def load(cls, folders: Iterable[Path]) -> "ResidualStacks":
        """Open the stacks of every shard."""
        stacks: dict[str, NDArray[np.float32]] = {}
        statistics: dict[str, dict[str, float]] = {}
        quantiles: dict[str, dict[str, float]] = {}
        for folder in folders:
            rows: Sequence[dict[str, Any]] = read_json(folder / _ROWS)
            mapped = np.load(folder / _STACKS, mmap_mode="r") if rows else []
            for row, stack in zip(rows, mapped, strict=True):
                name = row["case"]
                stacks[name], statistics[name], quantiles[name] = stack, row["statistics"], row["hu_quantiles"]
        return cls(stacks=stacks, statistics=statistics, hu_quantiles=quantiles)
