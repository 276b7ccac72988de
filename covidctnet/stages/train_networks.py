"""Preprocessed cohort and splits -> a written bundle."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from covidctnet.bundle import Bundle, Calibration, Reference, write_bundle
from covidctnet.config import Config
from covidctnet.distribution import ranges
from covidctnet.evaluation.calibration import apply_temperature, fit_temperature, fit_threshold
from covidctnet.labels import CONTROL, COVID
from covidctnet.networks.saving import export_classifier, load_classifier, load_denoiser, save_denoiser
from covidctnet.progress import Progress, silent
from covidctnet.stages.extract_residuals import extract_residuals
from covidctnet.stages.preprocess_cohort import PreparedCase
from covidctnet.training.classifier import Stacks, train_classifier
from covidctnet.training.denoiser import HealthySlices, train_denoiser
from covidctnet.training.history import History
from covidctnet.training.pseudo_infection import find_lungs

_MOST_WATCHED = 128
"""Slices whose loss is watched each epoch; more would take time and tell nothing more."""

Splits = Mapping[str, Sequence[PreparedCase]]
"""Prepared cases by split: `denoiser`, `train`, `validation`, `holdout`."""


@dataclass(frozen=True, kw_only=True)
class Residuals:
    """Residual stacks of one split.

    Attributes:
        stacks: axes (case, z, y, x).
        labels: class indices, shape (case,).
        statistics: of each case, see `distribution.study_statistics`.
    """

    stacks: Stacks
    labels: NDArray[np.int64]
    statistics: Sequence[dict[str, float]]


def train_and_save_denoiser(
    splits: Splits, config: Config, networks: Path, *, on_progress: Progress = silent
) -> History:
    """Train the denoiser on its own Controls and write `denoiser.keras`."""
    monitor = [case for case in splits["validation"] if case.label == CONTROL]
    model, history = train_denoiser(
        _healthy_slices(splits["denoiser"], config),
        _healthy_slices(monitor, config).thin(_MOST_WATCHED),
        config,
        on_epoch=lambda done, total: on_progress("train denoiser", done, total),
    )
    networks.mkdir(parents=True, exist_ok=True)
    save_denoiser(model, networks / "denoiser.keras")
    return history


def _healthy_slices(cases: Sequence[PreparedCase], config: Config) -> HealthySlices:
    if not cases:
        nothing = np.zeros((0, *config.preprocess.slice_size), np.float32)
        return HealthySlices(slices=nothing, lungs=nothing.astype(bool))
    slices = [case.slices() for case in cases]
    lungs = [find_lungs(stack, config.preprocess) for stack in slices]
    return HealthySlices(slices=np.concatenate(slices), lungs=np.concatenate(lungs))


def extract_split(
    splits: Splits, names: Sequence[str], config: Config, networks: Path, *, on_progress: Progress = silent
) -> dict[str, Residuals]:
    """Residual stacks of several splits, from the denoiser as it was written."""
    cases = [case for name in names for case in splits[name]]
    stacks, statistics = extract_residuals(
        cases, load_denoiser(networks / "denoiser.keras"), config, on_progress=on_progress
    )
    found, start = {}, 0
    for name in names:
        stop = start + len(splits[name])
        found[name] = Residuals(
            stacks=stacks[start:stop],
            labels=np.array([case.label for case in splits[name]], np.int64),
            statistics=statistics[start:stop],
        )
        start = stop
    return found


def train_and_export_classifier(
    train: Residuals, validation: Residuals, config: Config, networks: Path, *, on_progress: Progress = silent
) -> History:
    """Train the classifier and write its SavedModel."""
    model, history = train_classifier(
        train.stacks,
        train.labels,
        validation.stacks,
        validation.labels,
        config,
        on_epoch=lambda done, total: on_progress("train classifier", done, total),
    )
    shutil.rmtree(networks / "classifier", ignore_errors=True)
    export_classifier(model, networks / "classifier", config.residual.shape)
    return history


def calibrate(validation: Residuals, networks: Path) -> Calibration:
    """Fit temperature and threshold on validation, through the classifier as it was written."""
    classify = load_classifier(networks / "classifier")
    raw = np.concatenate([classify(stack[None, ..., None]) for stack in validation.stacks])
    temperature = fit_temperature(raw, validation.labels)
    covid = apply_temperature(raw, temperature)[:, COVID]
    return Calibration(temperature=temperature, threshold=fit_threshold(covid, validation.labels))


def assemble_bundle(
    folder: Path,
    *,
    networks: Path,
    train: Residuals,
    splits: Splits,
    config: Config,
    calibration: Calibration,
    data_version: str,
    code_version: str,
) -> Bundle:
    """Write the bundle with what training saw as its reference."""
    seen = [*splits["denoiser"], *splits["train"]]
    reference = Reference(
        scanners=tuple(sorted({str(case.scanner) for case in seen})),
        # Without the denoiser's own Controls: it knows them by heart, so their residual is too small.
        ranges=ranges(train.statistics),
    )
    return write_bundle(
        folder,
        networks=networks,
        config=config,
        calibration=calibration,
        reference=reference,
        data_version=data_version,
        code_version=code_version,
    )
