"""The work on one study, the same for every protocol: read, preprocess, denoise, classify, answer."""

import dataclasses
import functools
import itertools
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covidctnet.bundle import Bundle
from covidctnet.distribution import input_statistics
from covidctnet.predictor import Answer, Examination, Predictor
from covidctnet.preprocess import resampled_shape
from covidctnet.reading import read_volume
from covidctnet.report.explain import ReportKind
from covidctnet.report.explained import ExplainedStudy
from covidctnet.residual import Denoiser
from covidctnet.volume import Scanner, Volume
from serving.admission import Job
from serving.settings import UploadSettings
from serving.transformer.classifier import RemoteClassifier
from serving.transformer.reports import Report, draw


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """What is kept of an examined study: its images would fill the memory while the others of a request are read.

    Attributes:
        answer: what is said.
        scanner: as read.
        statistics: what is compared with training, by name.
        report: where one was asked for.
    """

    answer: Answer
    scanner: Scanner
    statistics: Mapping[str, float]
    report: Report | None = None


class StudyService:
    """Examines studies with one bundle's denoiser and the predictor's classifier.

    Args:
        bundle: this transformer's half of the pair, with configuration and calibration.
        denoiser: the bundle's.
        classifier: the predictor's, pinned to the same pair.
        limits: bound what the reader takes into memory.
    """

    def __init__(
        self, bundle: Bundle, *, denoiser: Denoiser, classifier: RemoteClassifier, limits: UploadSettings
    ) -> None:
        self.bundle, self._denoiser, self._classifier = bundle, denoiser, classifier
        reader = bundle.config.reader
        self._reader = dataclasses.replace(
            reader,
            max_bytes=min(reader.max_bytes, limits.max_expanded_bytes),
            max_files=min(reader.max_files, limits.max_files),
            max_voxels=min(reader.max_voxels, limits.max_voxels),
        )

    def examine(self, study: Path, job: Job, report: ReportKind | None = None) -> StudyResult:
        """Answer for one study; blocks, and ends early where the job is stopped.

        Args:
            study: a zip, a DICOM file or a folder of them.
            job: deadline and timings.
            report: to draw beside the answer.

        Raises:
            StudyError: the reader's reasons.
            ServingError: stopped, late, or no predictor of the pair.
        """
        with job.stage("read"):
            volume = read_volume(study, self._reader)
        examination = self._examine(volume, job)
        config = self.bundle.config
        statistics = input_statistics(volume.spacing_mm, examination.slices, examination.residual, config)
        result = StudyResult(answer=examination.answer, scanner=volume.scanner, statistics=statistics)
        job.check()
        if report is None:
            return result
        with job.stage("report"):
            document = to_document(result, job, self.bundle.serving_version)
            study_and_images = ExplainedStudy(volume=volume, examination=examination, document=document, config=config)
            return dataclasses.replace(result, report=draw(report, study_and_images, study.parent))

    def _examine(self, volume: Volume, job: Job) -> Examination:
        job.check()
        job.enter("preprocess")
        config = self.bundle.config
        slices, *_ = resampled_shape(volume.hu.shape, volume.spacing_mm, config.preprocess.spacing_mm)
        predictor = Predictor(
            self.bundle,
            denoiser=_WatchedDenoiser(self._denoiser, job, math.ceil(slices / config.residual.batch_size)),
            classify=functools.partial(self._classify, job=job),
        )
        began, before = time.monotonic(), sum(job.timings.values())
        examination = predictor.examine(volume)
        elsewhere = sum(job.timings.values()) - before
        job.add("images", max(0.0, time.monotonic() - began - elsewhere))
        return examination

    def _classify(self, stacks: NDArray[np.float32], *, job: Job) -> NDArray[np.float32]:
        with job.stage("classify"):
            probabilities = self._classifier.classify(stacks, job)
        job.enter("measure")
        return probabilities


class _WatchedDenoiser:
    """A denoiser that tells how far it is, and stops between batches when nobody waits for the answer any more."""

    def __init__(self, denoiser: Denoiser, job: Job, batches: int) -> None:
        self._denoiser, self._job, self._batches = denoiser, job, batches
        self._done = itertools.count(1)
        self.streams: int = getattr(denoiser, "streams", 1)

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        self._job.check()
        began = time.monotonic()
        denoised = self._denoiser(batch)
        # Batches run side by side: the share of each is what the study waits for.
        self._job.add("denoise", (time.monotonic() - began) / self.streams)
        self._job.enter("denoise", min(1.0, next(self._done) / self._batches))
        return denoised


def to_document(result: StudyResult, job: Job, version: int) -> dict[str, Any]:
    """The answer as clients get it: what `covidctnet predict --json` prints, and what serving adds.

    Args:
        result: the examined study.
        job: request id and seconds by stage.
        version: of the model that answered, as text since JSON readers may lose digits of large integers.
    """
    return {
        **dataclasses.asdict(result.answer),
        "model_version": str(version),
        "request_id": job.request_id,
        "timings": {name: round(seconds, 4) for name, seconds in job.timings.items()}
        | {"total": round(job.elapsed, 4)},
    }
