"""Does the residual lie where the infection is? Measured case by case, beside what needs no network."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from covidctnet.cohort import Case, Cohort
from covidctnet.config import Config
from covidctnet.errors import ExperimentError
from covidctnet.evaluation.residual_contrast import RegionMeans, blur_residual, mean_lung_residual, region_means
from covidctnet.experiments.slice_labels import INFECTED, UNKNOWN, SliceLabels, slice_positions
from covidctnet.labels import label_index
from covidctnet.phantom.truth import load_truth
from covidctnet.preprocess import preprocess, preprocess_mask
from covidctnet.reading import read_volume
from covidctnet.residual import Denoiser, denoise, residual
from covidctnet.stages.preprocess_cohort import lungs_of_slices
from covidctnet.volume import BoolArray, UnitArray, Volume

DENOISER, HU, MEAN_LUNG = "denoiser", "HU threshold", "mean lung"

BINS = 2048
"""Bins of a voxel's score between -1 and 1: areas and thresholds are exact to 0.001."""

_SMALLEST_LUNG = 0.005
"""A slice with less lung than this share of its pixels says nothing: a handful of voxels decide."""

Scores = NDArray[np.float32]
"""Higher where a method sees infection, axes (z, y, x), -1 to 1."""


@dataclass(frozen=True, kw_only=True)
class SliceScores:
    """The slices of one case that hold lung, from feet to head.

    Attributes:
        position_mm: centres, z of the DICOM patient system.
        infected: 1, 0, or -1 where nobody said.
        scores: by method, mean score over the slice's lung.
    """

    position_mm: NDArray[np.float64]
    infected: NDArray[np.int64]
    scores: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class CaseLocalisation:
    """What was measured of one case.

    Attributes:
        case, patient: pseudonyms.
        label: class index.
        slices: by slice.
        infected, clear: by method, voxels of the lungs by bin of their score; empty without a mask.
        regions: by method, mean absolute score by region; empty without a mask.
    """

    case: str
    patient: str
    label: int
    slices: SliceScores
    infected: Mapping[str, NDArray[np.int64]]
    clear: Mapping[str, NDArray[np.int64]]
    regions: Mapping[str, RegionMeans]


@dataclass(frozen=True, kw_only=True)
class CaseImages:
    """What a figure shows of a case, all on the grid of its slices, axes (z, y, x)."""

    case: str
    label: int
    slices: UnitArray
    lungs: BoolArray
    infection: BoolArray | None
    scores: Mapping[str, Scores]
    measured: CaseLocalisation


@dataclass(frozen=True, kw_only=True)
class Truth:
    """Where masks and marks come from.

    Attributes:
        masks: folder with `<case>.nii.gz` on the series' own grid, above 0.5 inside; None for none.
        labels: marks by slice; None for none.
    """

    masks: Path | None = None
    labels: SliceLabels | None = None

    def mask(self, cohort: Cohort, case: Case, volume: Volume, config: Config) -> BoolArray | None:
        """Infection on the grid of the slices; None where it is unknown.

        Raises:
            ExperimentError: the mask has another grid than the series.
        """
        inside = self._inside(cohort, case, volume, config)
        return None if inside is None else preprocess_mask(inside, volume.spacing_mm, config.preprocess)

    def _inside(self, cohort: Cohort, case: Case, volume: Volume, config: Config) -> BoolArray | None:
        name = case.case
        if self.masks is None:
            path = cohort.truth_path(name)
            return load_truth(path)["infection"] if path.is_file() else None
        from covidctnet.research_formats import read_research_volume

        path = self.masks / f"{name}.nii.gz"
        if not path.is_file():
            return None
        mask = read_research_volume(path, config.reader).hu
        if mask.shape != volume.hu.shape:
            raise ExperimentError(
                f"the mask of case {name} has {mask.shape} voxels, its series {volume.hu.shape}; draw it on the series"
            )
        return np.asarray(mask > 0.5)


def method_names(config: Config) -> list[str]:
    """The methods, the denoiser first."""
    return [DENOISER, HU, *(_blur(sigma) for sigma in config.evaluation.reference_blur_px), MEAN_LUNG]


def _blur(sigma: float) -> str:
    return f"Gaussian blur {sigma:g} px"


def score_voxels(slices: UnitArray, denoised: UnitArray, lungs: BoolArray, config: Config) -> dict[str, Scores]:
    """What each method says of every voxel.

    The denoiser and the blurs give their signed residual, for infection is denser than lung; the HU threshold gives
    the intensity itself; the mean lung gives the distance from the mean of this scan's own lungs.
    """
    scores = {DENOISER: residual(slices, denoised), HU: slices}
    for sigma in config.evaluation.reference_blur_px:
        scores[_blur(sigma)] = blur_residual(slices, sigma)
    mean = float(slices[lungs].mean(dtype=np.float64)) if lungs.any() else 0.0
    scores[MEAN_LUNG] = np.abs(mean_lung_residual(slices, mean))
    return scores


def localise_cases(
    cohort: Cohort, cases: Sequence[Case], denoiser: Denoiser, config: Config, truth: Truth
) -> Iterator[CaseImages]:
    """Read, preprocess and denoise each case as serving does, and measure it.

    Raises:
        ExperimentError: a case has neither mask nor marks and is no Control, so that nothing can be measured of it.
    """
    for case in cases:
        volume = read_volume(cohort.path(case.case), config.reader)
        slices = preprocess(volume, config.preprocess)
        denoised = denoise(denoiser, slices, config.residual.batch_size)
        lungs = lungs_of_slices(slices, volume, config)
        infection = truth.mask(cohort, case, volume, config)
        if infection is None and truth.labels is None:
            raise ExperimentError(
                f"case {case.case} has neither a mask of its infection nor marked slices; give --masks or "
                "--slice-labels"
            )
        scores = score_voxels(slices, denoised, lungs, config)
        if infection is not None:
            # What the segmentation missed of the infection must not be left out of the count.
            lungs = lungs | infection
        marks = _marks(case, volume, infection, len(slices), truth)
        measured = _measure(case, volume, lungs, infection, scores, marks)
        yield CaseImages(
            case=case.case,
            label=label_index(case.label),
            slices=slices,
            lungs=lungs,
            infection=infection,
            scores=scores,
            measured=measured,
        )


def _marks(case: Case, volume: Volume, infection: BoolArray | None, count: int, truth: Truth) -> NDArray[np.int64]:
    if truth.labels is not None:
        return truth.labels.on_slices(case.case, volume, count)
    if infection is None:
        return np.full(count, UNKNOWN)
    return np.asarray(infection.any(axis=(1, 2)), np.int64)


def _measure(
    case: Case,
    volume: Volume,
    lungs: BoolArray,
    infection: BoolArray | None,
    scores: Mapping[str, Scores],
    marks: NDArray[np.int64],
) -> CaseLocalisation:
    areas = lungs.sum(axis=(1, 2))
    # A slice that is marked as infected counts even where no lung was found in it.
    kept = (areas >= _SMALLEST_LUNG * lungs[0].size) | (marks == INFECTED)
    by_slice = {
        method: ((np.maximum(values, 0.0) * lungs).sum(axis=(1, 2), dtype=np.float64) / np.maximum(areas, 1))[kept]
        for method, values in scores.items()
    }
    voxels: tuple[dict[str, NDArray[np.int64]], dict[str, NDArray[np.int64]]] = ({}, {})
    regions = {}
    if infection is not None:
        for method, values in scores.items():
            for place, region in enumerate((infection, lungs & ~infection)):
                voxels[place][method] = np.histogram(values[region], bins=BINS, range=(-1.0, 1.0))[0]
            regions[method] = region_means(
                values, lungs, infection, label=label_index(case.label), patient=case.patient
            )
    return CaseLocalisation(
        case=case.case,
        patient=case.patient,
        label=label_index(case.label),
        slices=SliceScores(
            position_mm=slice_positions(volume, len(lungs))[kept], infected=marks[kept], scores=by_slice
        ),
        infected=voxels[0],
        clear=voxels[1],
        regions=regions,
    )


def keep_examples(images: Iterable[CaseImages]) -> tuple[list[CaseLocalisation], list[CaseImages]]:
    """All measurements, and the images of the first case of each class alone."""
    measured: list[CaseLocalisation] = []
    kept: dict[int, CaseImages] = {}
    for image in images:
        measured.append(image.measured)
        kept.setdefault(image.label, image)
    return measured, [kept[label] for label in sorted(kept)]
