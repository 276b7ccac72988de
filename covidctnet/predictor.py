"""The only inference path: hold-out evaluation, command line and serving all answer through it."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covidctnet.bundle import Bundle, load_bundle
from covidctnet.burden import Burden, measure_burden
from covidctnet.config import AnswerConfig
from covidctnet.distribution import describe_outliers, out_of_distribution, study_statistics
from covidctnet.evaluation.calibration import apply_temperature
from covidctnet.labels import COVID, LABELS
from covidctnet.preprocess import preprocess
from covidctnet.residual import Denoiser, denoise, residual, stack_residual
from covidctnet.volume import UnitArray, Volume

Classify = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Residual stacks float32 (batch, z, y, x, 1) -> uncalibrated probabilities float32 (batch, 3)."""

NOT_JUDGED = "cannot be judged"
"""Takes the place of a class where the study is too unlike what training saw."""

DISCLAIMER = "Research use only. Not a medical device."


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the product says of one study.

    Attributes:
        probabilities: calibrated probability by label.
        label: the most probable label, or `NOT_JUDGED`.
        covid_positive: whether the Covid-19 probability reaches the bundle's threshold; None if not judged.
        covid_threshold: that threshold.
        out_of_distribution: how far the study lies outside of training, see `distribution`; 0 is inside.
        burden: how much of the lung the residual marks, and where.
        scanner: as read from the header.
        series: which series the answer is about, and why it was taken.
        warnings: reasons to trust the answer less, in words.
        pair_id, data_version, code_version, profile: which bundle answered.
    """

    probabilities: dict[str, float]
    label: str
    covid_positive: bool | None
    covid_threshold: float
    out_of_distribution: float
    burden: Burden
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

    @property
    def residual(self) -> NDArray[np.float32]:
        """Slices minus denoised slices, -1 to 1, axes (z, y, x)."""
        return residual(self.slices, self.denoised)


class Predictor:
    """Answers for volumes with one bundle.

    Args:
        bundle: configuration, calibration and reference.
        denoiser: slices float32 (batch, y, x, 1) -> denoised slices.
        classify: residual stacks -> uncalibrated probabilities.
        policy: when no class is answered; the bundle's own where None.
    """

    def __init__(
        self, bundle: Bundle, *, denoiser: Denoiser, classify: Classify, policy: AnswerConfig | None = None
    ) -> None:
        self.bundle, self._denoiser, self._classify = bundle, denoiser, classify
        self._policy = policy or bundle.config.answer

    @classmethod
    def load(cls, folder: Path, *, classify: Classify | None = None, policy: AnswerConfig | None = None) -> "Predictor":
        """Load a bundle; without `classify`, its classifier runs in this process.

        Raises:
            BundleError: the folder is no intact bundle.
        """
        from covidctnet.networks.saving import load_classifier, load_denoiser

        bundle = load_bundle(folder)
        return cls(
            bundle,
            denoiser=load_denoiser(bundle.folder, bundle.config.residual),
            classify=classify or load_classifier(bundle.classifier_path),
            policy=policy,
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
        return Examination(
            answer=self._answer(probabilities, volume, slices, residual(slices, denoised)),
            slices=slices,
            denoised=denoised,
            stack=stack,
        )

    def _answer(
        self,
        probabilities: NDArray[np.floating[Any]],
        volume: Volume,
        slices: UnitArray,
        removed: NDArray[np.float32],
    ) -> Answer:
        bundle, config = self.bundle, self.bundle.config
        statistics = study_statistics(slices, removed)
        distance = out_of_distribution(statistics, bundle.reference.ranges)
        judged = distance <= self._policy.max_out_of_distribution
        return Answer(
            probabilities={name: float(value) for name, value in zip(LABELS, probabilities, strict=True)},
            label=LABELS[int(np.argmax(probabilities))] if judged else NOT_JUDGED,
            covid_positive=bool(probabilities[COVID] >= bundle.calibration.threshold) if judged else None,
            covid_threshold=bundle.calibration.threshold,
            out_of_distribution=distance,
            burden=measure_burden(volume, slices, removed, config.preprocess, config.burden),
            scanner=str(volume.scanner),
            series=volume.series,
            warnings=(*volume.warnings, *self._warn(volume, statistics, judged)),
            pair_id=bundle.pair_id,
            data_version=bundle.data_version,
            code_version=bundle.code_version,
            profile=config.name,
        )

    def _warn(self, volume: Volume, statistics: dict[str, float], judged: bool) -> list[str]:
        reference, warnings = self.bundle.reference, []
        if str(volume.scanner) not in reference.scanners:
            warnings.append(f"scanner {volume.scanner} was not in the training data")
        warnings += describe_outliers(statistics, reference.ranges)
        if not judged:
            warnings.append("the study is too unlike the training data to be judged; its probabilities mean nothing")
        return warnings
