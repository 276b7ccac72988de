"""Preprocessed cohort and splits -> a written bundle."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from covidctnet.bundle import Bundle, Calibration, Reference, write_bundle
from covidctnet.config import Config, PreprocessConfig
from covidctnet.distribution import ranges
from covidctnet.evaluation.calibration import apply_temperature, fit_temperature, fit_threshold
from covidctnet.labels import CONTROL, COVID
from covidctnet.networks.saving import export_classifier, load_classifier, load_denoiser, save_denoiser
from covidctnet.progress import Progress, silent
from covidctnet.stages.extract_residuals import extract_residuals
from covidctnet.stages.preprocess_cohort import PreparedCase
from covidctnet.training.checkpoint import Checkpoint
from covidctnet.training.classifier import Stacks, train_classifier
from covidctnet.training.denoiser import train_denoiser
from covidctnet.training.history import History, write_history
from covidctnet.training.loop import OnEpoch
from covidctnet.training.slices import MaskedSlices
from covidctnet.training.warm_start import pretrain_on_lungs
from covidctnet.volume import BoolArray

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

    @property
    def digest(self) -> str:
        """Hash of stacks and labels."""
        found = hashlib.sha256(self.labels.tobytes())
        for stack in self.stacks:
            found.update(np.ascontiguousarray(stack).data)
        return found.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """Where networks are made: everything in it can be thrown away, at the price of training again.

    Attributes:
        folder: holds checkpoints, histories and residuals.
        config: of all stages.
        versions: of data and code; a checkpoint of other versions is not used.
        on_progress: told of finished epochs and cases.
    """

    folder: Path
    config: Config
    versions: tuple[str, str]
    on_progress: Progress = silent

    @property
    def networks(self) -> Path:
        """The networks as they will be in the bundle."""
        return self.folder / "networks"

    def checkpoint(self, network: str, *inputs: str) -> Checkpoint:
        """State of a network's training, valid for this configuration, these versions and inputs."""
        parts = json.dumps([network, self.config.digest, *self.versions, *inputs])
        fingerprint = hashlib.sha256(parts.encode()).hexdigest()
        return Checkpoint(self.folder / "checkpoints" / f"{_file_name(network)}.npz", fingerprint)

    def on_epoch(self, network: str) -> OnEpoch:
        """Tell of an epoch and write the losses so far to `<training>.history.jsonl`."""

        def tell(done: int, total: int, history: History) -> None:
            write_history(self.folder / f"{_file_name(network)}.history.jsonl", history)
            self.on_progress(f"train {network}", done, total)

        return tell


def _file_name(network: str) -> str:
    return network.replace(" ", "-")


def train_and_save_denoiser(splits: Splits, workshop: Workshop) -> dict[str, History]:
    """Train the denoiser on its own Controls and write it; returns the losses by training."""
    healthy = splits["denoiser"]
    watched = [case for case in splits["validation"] if case.label == CONTROL]
    inputs = _hashes(healthy), _hashes(watched)
    histories, start = {}, None
    if workshop.config.denoiser.warm_start_epochs and healthy and watched:
        start, histories["warm start"] = pretrain_on_lungs(
            _masked_slices(healthy, PreparedCase.mapped_lungs, workshop.config),
            _masked_slices(watched, PreparedCase.mapped_lungs, workshop.config).thin(_MOST_WATCHED),
            workshop.config,
            checkpoint=workshop.checkpoint("warm start", *inputs),
            on_epoch=workshop.on_epoch("warm start"),
        )
    model, histories["denoiser"] = train_denoiser(
        _masked_slices(healthy, PreparedCase.mapped_aerated, workshop.config),
        _masked_slices(watched, PreparedCase.mapped_aerated, workshop.config).thin(_MOST_WATCHED),
        workshop.config,
        start=start,
        checkpoint=workshop.checkpoint("denoiser", *inputs),
        on_epoch=workshop.on_epoch("denoiser"),
    )
    save_denoiser(model, workshop.networks, workshop.config.residual)
    return histories


def _masked_slices(
    cases: Sequence[PreparedCase], mask: Callable[[PreparedCase, PreprocessConfig], BoolArray], config: Config
) -> MaskedSlices:
    return MaskedSlices([case.mapped_slices() for case in cases], [mask(case, config.preprocess) for case in cases])


def _hashes(cases: Sequence[PreparedCase]) -> str:
    return " ".join(case.case.sha256 for case in cases)


def extract_split(splits: Splits, names: Sequence[str], workshop: Workshop) -> dict[str, Residuals]:
    """Residual stacks of several splits, from the denoiser as it was written."""
    cases = [case for name in names for case in splits[name]]
    denoiser = load_denoiser(workshop.networks, workshop.config.residual)
    stacks, statistics = extract_residuals(
        cases, denoiser, workshop.config, workshop.folder / "residuals.npy", on_progress=workshop.on_progress
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


def train_and_export_classifier(train: Residuals, validation: Residuals, workshop: Workshop) -> History:
    """Train the classifier and write its SavedModel."""
    model, history = train_classifier(
        train.stacks,
        train.labels,
        validation.stacks,
        validation.labels,
        workshop.config,
        checkpoint=workshop.checkpoint("classifier", train.digest, validation.digest),
        on_epoch=workshop.on_epoch("classifier"),
    )
    folder = workshop.networks / "classifier"
    shutil.rmtree(folder, ignore_errors=True)
    export_classifier(model, folder, workshop.config.residual.shape)
    return history


def calibrate(validation: Residuals, workshop: Workshop) -> Calibration:
    """Fit temperature and threshold on validation, through the classifier as it was written."""
    classify = load_classifier(workshop.networks / "classifier")
    raw = np.concatenate([classify(stack[None, ..., None]) for stack in validation.stacks])
    temperature = fit_temperature(raw, validation.labels)
    covid = apply_temperature(raw, temperature)[:, COVID]
    return Calibration(temperature=temperature, threshold=fit_threshold(covid, validation.labels))


def assemble_bundle(
    folder: Path, *, train: Residuals, splits: Splits, calibration: Calibration, workshop: Workshop
) -> Bundle:
    """Write the bundle with what training saw as its reference."""
    seen = [*splits["denoiser"], *splits["train"]]
    reference = Reference(
        scanners=tuple(sorted({str(case.scanner) for case in seen})),
        # Without the denoiser's own Controls: it knows them by heart, so their residual is too small.
        ranges=ranges(train.statistics),
    )
    data_version, code_version = workshop.versions
    return write_bundle(
        folder,
        networks=workshop.networks,
        config=workshop.config,
        calibration=calibration,
        reference=reference,
        data_version=data_version,
        code_version=code_version,
    )
