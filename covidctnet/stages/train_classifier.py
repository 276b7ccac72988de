"""Residual stacks -> a trained classifier, calibrated, in one bundle with the denoiser that made them."""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from covidctnet.bundle import Bundle, Calibration, Reference, patient_key, write_bundle
from covidctnet.config import Config
from covidctnet.distribution import ranges, spacing_statistics
from covidctnet.evaluation.calibration import apply_temperature, fit_temperature, fit_threshold
from covidctnet.files import link_tree
from covidctnet.labels import COVID
from covidctnet.networks.saving import export_classifier, load_classifier
from covidctnet.stability import count_categories, fit_bins
from covidctnet.stages.extract_residuals import ResidualStacks
from covidctnet.stages.prepared import PreparedCase, PreparedCohort
from covidctnet.stages.training_state import TrainingState
from covidctnet.training.checkpoint import Weights
from covidctnet.training.classifier import Stacks, train_classifier
from covidctnet.training.history import History

_SECTIONS = ("residual", "classifier", "start_from")


@dataclass(frozen=True, kw_only=True)
class LabelledResiduals:
    """Residual stacks of one split.

    Attributes:
        stacks: by case, float32 (z, y, x), memory-mapped.
        labels: class indices, shape (case,).
    """

    stacks: Stacks
    labels: NDArray[np.int64]

    @classmethod
    def select(cls, cases: Sequence[PreparedCase], residuals: ResidualStacks) -> "LabelledResiduals":
        """Those of some cases, in their order."""
        return cls(
            stacks=[residuals.stacks[case.case.case] for case in cases],
            labels=np.array([case.label for case in cases], np.int64),
        )

    @property
    def digest(self) -> str:
        """Hash of stacks and labels."""
        found = hashlib.sha256(self.labels.tobytes())
        for stack in self.stacks:
            found.update(np.ascontiguousarray(stack).data)
        return found.hexdigest()


def train_and_write_bundle(
    prepared: PreparedCohort,
    residuals: ResidualStacks,
    denoiser: Path,
    output: Path,
    state: TrainingState,
    *,
    data_version: str,
    start: Weights | None = None,
    inherited: Sequence[str] = (),
) -> tuple[Bundle, History]:
    """Train the classifier, calibrate it on validation and write the bundle.

    Args:
        prepared: all cases of the run.
        residuals: stacks of training and validation.
        denoiser: folder with the denoiser that made them and nothing else.
        output: becomes the bundle.
        state: goes on from an interrupted training of the same kind.
        data_version: for lineage.
        start: weights of the bundle that `config.start_from` names, where they fit.
        inherited: `patient_key` of the patients of that bundle: they shaped this one, too.

    Returns:
        The bundle, and the classifier's losses by epoch.

    Raises:
        TrainingError: a class is missing from training, or a loss is not finite.
    """
    train = LabelledResiduals.select(prepared.of("train"), residuals)
    validation = LabelledResiduals.select(prepared.of("validation"), residuals)
    model, history = train_classifier(
        train.stacks,
        train.labels,
        validation.stacks,
        validation.labels,
        state.config,
        start=start,
        checkpoint=state.checkpoint("classifier", _SECTIONS, train.digest, validation.digest),
        on_epoch=state.on_epoch("classifier"),
    )
    networks = output.with_name(f"{output.name}.networks")
    shutil.rmtree(networks, ignore_errors=True)
    link_tree(denoiser, networks)
    export_classifier(model, networks / "classifier", state.config.residual.shape)
    bundle = write_bundle(
        output,
        networks=networks,
        config=state.config,
        calibration=calibrate(validation, networks / "classifier"),
        reference=_reference(prepared, residuals, state.config, inherited),
        data_version=data_version,
        code_version=state.code_version,
    )
    return bundle, history


def calibrate(validation: LabelledResiduals, classifier: Path) -> Calibration:
    """Fit temperature and threshold on validation, through the classifier as it was written."""
    classify = load_classifier(classifier)
    raw = np.concatenate([classify(stack[None, ..., None]) for stack in validation.stacks])
    temperature = fit_temperature(raw, validation.labels)
    covid = apply_temperature(raw, temperature)[:, COVID]
    return Calibration(temperature=temperature, threshold=fit_threshold(covid, validation.labels))


def _reference(
    prepared: PreparedCohort, residuals: ResidualStacks, config: Config, inherited: Sequence[str]
) -> Reference:
    # Without the denoiser's own Controls: it knows them by heart, so their residual is too small.
    train = prepared.of("train")
    scanners = [str(case.scanner) for case in (*prepared.of("denoiser"), *train)]
    inputs = [
        residuals.statistics[case.case.case]
        | residuals.hu_quantiles[case.case.case]
        | spacing_statistics(case.spacing_mm)
        for case in train
    ]
    return Reference(
        scanners=tuple(sorted(set(scanners))),
        ranges=ranges(residuals.statistics[case.case.case] for case in train),
        trained_on=tuple(
            sorted(
                set(inherited)
                | {
                    patient_key(case.case.patient)
                    for split in ("denoiser", "train", "validation")
                    for case in prepared.of(split)
                }
            )
        ),
        distributions={name: fit_bins([study[name] for study in inputs], config.drift) for name in inputs[0]},
        scanner_mix=count_categories(scanners),
    )
