"""The only inference path: hold-out evaluation, command line and serving all answer through it."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covidctnet.bundle import Bundle, load_bundle
from covidctnet.evaluation.calibration import apply_temperature
from covidctnet.labels import COVID, LABELS
from covidctnet.preprocess import preprocess
from covidctnet.residual import denoise, stack_residual
from covidctnet.volume import UnitArray, Volume

Classify = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Residual stacks float32 (batch, z, y, x, 1) -> uncalibrated probabilities float32 (batch, 3)."""

DISCLAIMER = "Research use only. Not a medical device."


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the product says of one study.

    Attributes:
        probabilities: calibrated probability by label.
        label: the most probable label.
        covid_positive: whether the Covid-19 probability reaches the bundle's threshold.
        covid_threshold: that threshold.
        scanner: as read from the header.
        series: which series the answer is about, and why it was taken.
        warnings: reasons to trust the answer less, in words.
        pair_id, data_version, code_version, profile: which bundle answered.
    """

    probabilities: dict[str, float]
    label: str
    covid_positive: bool
    covid_threshold: float
    scanner: str
    series: str
    warnings: tuple[str, ...]
    pair_id: str
    data_version: str
    code_version: str
    profile: str
    disclaimer: str = DISCLAIMER

    def to_json(self) -> str:
        """The answer as one JSON object."""
        return json.dumps(asdict(self), indent=2)


@dataclass(frozen=True, kw_only=True)
class Examination:
    """An answer with the images that led to it.

    Attributes:
        answer: what is said.
        slices: preprocessed slices, axes (z, y, x), 0 to 1.
        denoised: what the denoiser made of them, same axes.
        stack: the residual as the classifier saw it, axes (z, y, x).
    """

    answer: Answer
    slices: UnitArray
    denoised: UnitArray
    stack: NDArray[np.float32]


class Predictor:
    """Answers for volumes with one bundle.

    Args:
        bundle: configuration, calibration and reference.
        denoiser: slices float32 (batch, y, x, 1) -> denoised slices.
        classify: residual stacks -> uncalibrated probabilities.
    """

    def __init__(self, bundle: Bundle, *, denoiser: Any, classify: Classify) -> None:
        self.bundle, self._denoiser, self._classify = bundle, denoiser, classify

    @classmethod
    def load(cls, folder: Path, *, classify: Classify | None = None) -> "Predictor":
        """Load a bundle; without `classify`, its classifier runs in this process.

        Raises:
            BundleError: the folder is no intact bundle.
        """
        from covidctnet.networks.saving import load_classifier, load_denoiser

        bundle = load_bundle(folder)
        return cls(
            bundle,
            denoiser=load_denoiser(bundle.denoiser_path),
            classify=classify or load_classifier(bundle.classifier_path),
        )

    def predict(self, volume: Volume) -> Answer:
        """Answer for a volume."""
        return self.examine(volume).answer

    def examine(self, volume: Volume) -> Examination:
        """Answer for a volume and keep the images."""
        config = self.bundle.config
        slices = preprocess(volume, config.preprocess)
        denoised = denoise(self._denoiser, slices, config.residual.batch_size)
        stack = stack_residual(slices, denoised, config.residual)
        raw = self._classify(stack[None, ..., None])
        probabilities = apply_temperature(raw, self.bundle.calibration.temperature)[0]
        warnings = (*volume.warnings, *self._warn(volume, slices, slices - denoised))
        return Examination(
            answer=self._answer(probabilities, volume, warnings),
            slices=slices,
            denoised=denoised,
            stack=stack,
        )

    def _answer(self, probabilities: NDArray[np.floating[Any]], volume: Volume, warnings: tuple[str, ...]) -> Answer:
        bundle = self.bundle
        return Answer(
            probabilities={name: float(value) for name, value in zip(LABELS, probabilities, strict=True)},
            label=LABELS[int(np.argmax(probabilities))],
            covid_positive=bool(probabilities[COVID] >= bundle.calibration.threshold),
            covid_threshold=bundle.calibration.threshold,
            scanner=str(volume.scanner),
            series=volume.series,
            warnings=warnings,
            pair_id=bundle.pair_id,
            data_version=bundle.data_version,
            code_version=bundle.code_version,
            profile=bundle.config.name,
        )

    def _warn(self, volume: Volume, slices: UnitArray, residual: NDArray[np.float32]) -> list[str]:
        reference, warnings = self.bundle.reference, []
        if str(volume.scanner) not in reference.scanners:
            warnings.append(f"scanner {volume.scanner} was not in the training data")
        for name, value, (low, high) in (
            ("mean intensity", float(slices.mean()), reference.mean_intensity),
            ("mean absolute residual", float(np.abs(residual).mean()), reference.residual_energy),
        ):
            if not low <= value <= high:
                warnings.append(f"{name} {value:.4f} is outside the training range {low:.4f} to {high:.4f}")
        return warnings
