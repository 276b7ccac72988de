"""How much of the lung the residual marks, and where: by side, by third, and in the original images.

The denoiser gives back healthy lung, so what it takes out of a lung is what it holds for infection. The
share of lung volume that it takes out is the burden.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from covidctnet.config import BurdenConfig, PreprocessConfig
from covidctnet.lungs import LEFT, RIGHT, LungLabels, segment_lungs
from covidctnet.preprocess import to_hounsfield
from covidctnet.volume import BoolArray, UnitArray, Volume

SIDES = {RIGHT: "right", LEFT: "left"}
THIRDS = ("lower", "middle", "upper")

Triple = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Region:
    """One third of one lung.

    Attributes:
        side: "right" or "left" of the patient.
        third: "lower", "middle" or "upper", of the height from the lowest to the highest lung voxel.
        lung_ml: its volume.
        affected_ml: the part of it that the residual marks.
    """

    side: str
    third: str
    lung_ml: float
    affected_ml: float


@dataclass(frozen=True, kw_only=True)
class Focus:
    """One connected marked area.

    Attributes:
        side, third: where its centre lies.
        volume_ml: its size.
        centre_voxel: (z, y, x) on the grid of the original volume, from 0 at the feet, front and right.
        box_voxels: first and last voxel along (z, y, x) on that grid.
        centre_mm: (x, y, z) in the DICOM patient system.
    """

    side: str
    third: str
    volume_ml: float
    centre_voxel: tuple[int, int, int]
    box_voxels: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    centre_mm: Triple


@dataclass(frozen=True, kw_only=True)
class Burden:
    """Infection burden of one study.

    Attributes:
        threshold: residual above which lung counts, as a share of the range of intensities.
        share: affected share of lung volume, 0 to 1; 0 where no lung was found.
        lung_ml: volume of both lungs.
        regions: thirds of both lungs; empty where no lung was found.
        foci: the largest areas, the largest first.
        words: the same as a sentence.
    """

    threshold: float
    share: float
    lung_ml: float
    regions: tuple[Region, ...]
    foci: tuple[Focus, ...]
    words: str


def measure_burden(
    volume: Volume, slices: UnitArray, residual: NDArray[np.float32], preprocess: PreprocessConfig, config: BurdenConfig
) -> Burden:
    """Measure the burden of a study.

    Args:
        volume: the study as it was read.
        slices: preprocessed slices, axes (z, y, x), 0 to 1.
        residual: slices minus denoised slices, same axes.
        preprocess: what made the slices.
        config: threshold, and which areas are listed.
    """
    lungs, affected = mark_lungs(volume, slices, residual, preprocess, config)
    if not lungs.any():
        words = "no lung was found"
        return Burden(threshold=config.threshold, share=0.0, lung_ml=0.0, regions=(), foci=(), words=words)
    ml = float(np.prod(_spacing(volume, slices))) / 1000.0
    thirds = _thirds(lungs)
    regions = tuple(
        Region(side=SIDES[side], third=third, lung_ml=ml * int(part.sum()), affected_ml=ml * int(affected[part].sum()))
        for side in SIDES
        for number, third in enumerate(THIRDS)
        for part in [(lungs == side) & (thirds == number)[:, None, None]]
    )
    foci = _find_foci(affected, lungs, thirds, volume, ml, config)
    lung_ml = sum(region.lung_ml for region in regions)
    share = sum(region.affected_ml for region in regions) / lung_ml
    return Burden(
        threshold=config.threshold,
        share=share,
        lung_ml=lung_ml,
        regions=regions,
        foci=foci,
        words=_describe(share, regions),
    )


def mark_lungs(
    volume: Volume, slices: UnitArray, residual: NDArray[np.float32], preprocess: PreprocessConfig, config: BurdenConfig
) -> tuple[LungLabels, BoolArray]:
    """The lungs of a study, and what of them the burden counts; both on the grid of the slices, axes (z, y, x).

    Args: as of `measure_burden`.
    """
    spacing = _spacing(volume, slices)
    lungs = segment_lungs(Volume(hu=to_hounsfield(slices, preprocess), spacing_mm=spacing))
    smallest = config.smallest_focus_ml / (float(np.prod(spacing)) / 1000.0)
    return lungs, _without_specks((residual > config.threshold) & (lungs > 0), smallest)


def _spacing(volume: Volume, slices: UnitArray) -> Triple:
    depth, height, width = (size / count for size, count in zip(volume.extent_mm, slices.shape, strict=True))
    return depth, height, width


def _without_specks(mask: BoolArray, smallest: float) -> BoolArray:
    """Only areas of at least so many voxels: a vessel's rim is no infection."""
    labels, _ = ndimage.label(mask)
    kept: BoolArray = (np.bincount(labels.ravel()) >= smallest)[labels] & mask
    return kept


def _thirds(lungs: LungLabels) -> NDArray[np.int64]:
    """0, 1 or 2 for each slice, from the lungs' lowest voxel to their highest."""
    heights = np.flatnonzero(lungs.any(axis=(1, 2)))
    low, high = int(heights[0]), int(heights[-1])
    places = (np.arange(len(lungs)) - low) * len(THIRDS) // (high - low + 1)
    return np.clip(places, 0, len(THIRDS) - 1)


def _find_foci(
    affected: BoolArray,
    lungs: LungLabels,
    thirds: NDArray[np.int64],
    volume: Volume,
    ml: float,
    config: BurdenConfig,
) -> tuple[Focus, ...]:
    labels, _ = ndimage.label(affected)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    scale = np.array(volume.hu.shape) / np.array(affected.shape)
    boxes = ndimage.find_objects(labels)
    foci = []
    for number in np.argsort(sizes)[::-1][: config.listed_foci]:
        if sizes[number] == 0:
            break
        box = boxes[number - 1]
        voxels = np.argwhere(labels[box] == number) + [part.start for part in box]
        # The centre is the focus' own voxel that lies nearest to its mean: a crescent's mean lies outside of it.
        middle = voxels[np.argmin(((voxels - voxels.mean(axis=0)) ** 2).sum(axis=1))]
        centre = [int(value) for value in np.minimum((middle + 0.5) * scale, np.array(volume.hu.shape) - 1)]
        box_voxels = [
            (int(part.start * step), min(int(np.ceil(part.stop * step)), count) - 1)
            for part, step, count in zip(box, scale, volume.hu.shape, strict=True)
        ]
        foci.append(
            Focus(
                side=SIDES[int(lungs[tuple(middle)])],
                third=THIRDS[int(thirds[middle[0]])],
                volume_ml=float(sizes[number] * ml),
                centre_voxel=(centre[0], centre[1], centre[2]),
                box_voxels=(box_voxels[0], box_voxels[1], box_voxels[2]),
                centre_mm=volume.position_mm(centre),
            )
        )
    return tuple(foci)


def _describe(share: float, regions: Sequence[Region]) -> str:
    """A sentence: "12 % of the lung is marked: right 18 %, left 5 %; most in the right lower third (31 %)"."""
    total = f"{100 * share:.0f} % of the lung is marked" if share >= 0.01 else "less than 1 % of the lung is marked"
    sides = ", ".join(
        f"{side} {100 * affected / lung:.0f} %"
        for side in SIDES.values()
        for lung, affected in [
            (
                sum(region.lung_ml for region in regions if region.side == side),
                sum(region.affected_ml for region in regions if region.side == side),
            )
        ]
        if lung
    )
    if share < 0.01:
        return total
    worst = max(regions, key=lambda region: region.affected_ml)
    return (
        f"{total}: {sides}; most in the {worst.side} {worst.third} third "
        f"({100 * worst.affected_ml / worst.lung_ml:.0f} % of it)"
    )
