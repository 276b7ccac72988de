"""How far a study lies outside of what training saw: networks answer with confidence there, too."""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from covidctnet.config import Config
from covidctnet.volume import UnitArray

Range = tuple[float, float]
Spacing = tuple[float, float, float]


def study_statistics(slices: UnitArray, residual: NDArray[np.float32]) -> dict[str, float]:
    """What is compared with training, by name.

    Args:
        slices: preprocessed slices, axes (z, y, x), 0 to 1.
        residual: slices minus denoised slices, same axes.
    """
    size = np.abs(residual)
    return {
        "mean intensity": float(slices.mean()),
        "spread of intensity": float(slices.std()),
        "mean absolute residual": float(size.mean()),
        "strongest hundredth of the residual": float(np.quantile(size, 0.99)),
    }


def hu_quantiles(slices: UnitArray, config: Config) -> dict[str, float]:
    """Hounsfield units below which given shares of a study's voxels lie, by name, rounded.

    Unrounded, air that one scanner writes as -1000 and another as -999 would count as two distributions: calibrated
    scanners may differ by 5 HU for water (ACR CT accreditation).

    Args:
        slices: preprocessed slices, axes (z, y, x), 0 to 1: values outside of the preprocessing's range are its limits.
        config: the shares, the range, and to what is rounded.
    """
    low, high, shares = config.preprocess.hu_min, config.preprocess.hu_max, config.drift.hu_quantiles
    values = np.quantile(slices, shares).astype(np.float64) * (high - low) + low
    values = np.round(values / config.drift.hu_step) * config.drift.hu_step
    return {f"HU quantile {share:g}": float(value) for share, value in zip(shares, values, strict=True)}


def spacing_statistics(spacing_mm: Spacing) -> dict[str, float]:
    """Distances of voxel centres as the scanner gave them, by name, in mm rounded to hundredths.

    Args:
        spacing_mm: along (z, y, x), before resampling.
    """
    return {
        "slice spacing mm": round(spacing_mm[0], 2),
        "pixel spacing mm": round((spacing_mm[1] + spacing_mm[2]) / 2, 2),
    }


def input_statistics(
    spacing_mm: Spacing, slices: UnitArray, residual: NDArray[np.float32], config: Config
) -> dict[str, float]:
    """Everything by which later studies are compared with those of training, by name.

    Args:
        spacing_mm: along (z, y, x), before resampling.
        slices: preprocessed slices, axes (z, y, x), 0 to 1.
        residual: slices minus denoised slices, same axes.
        config: of the bundle.
    """
    return study_statistics(slices, residual) | hu_quantiles(slices, config) | spacing_statistics(spacing_mm)


def ranges(statistics: Iterable[Mapping[str, float]]) -> dict[str, Range]:
    """Lowest and highest value of each statistic over several studies, of which there is at least one."""
    studies = list(statistics)
    return {name: (min(study[name] for study in studies), max(study[name] for study in studies)) for name in studies[0]}


def out_of_distribution(statistics: Mapping[str, float], reference: Mapping[str, Range]) -> float:
    """Distance from the training range in units of its width, of the statistic that lies farthest outside.

    0 where all lie inside, 1 where one lies outside by as much as the range is wide.
    """
    return max(_distance(statistics[name], bounds) for name, bounds in reference.items())


def describe_outliers(statistics: Mapping[str, float], reference: Mapping[str, Range]) -> list[str]:
    """One sentence for each statistic outside of its training range."""
    return [
        f"{name} {statistics[name]:.4f} is outside the training range {low:.4f} to {high:.4f}"
        for name, (low, high) in reference.items()
        if not low <= statistics[name] <= high
    ]


def _distance(value: float, bounds: Range) -> float:
    low, high = bounds
    # One training study has no width: a tenth of its value stands for it.
    width = max(high - low, 0.1 * abs(high), 1e-6)
    return max(0.0, low - value, value - high) / width
