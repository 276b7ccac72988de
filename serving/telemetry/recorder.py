"""What is kept of an answered study: counts and input statistics."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from serving.admission import Job
from serving.telemetry.drift import DriftWindow
from serving.telemetry.metrics import Metrics, brand_label

if TYPE_CHECKING:
    from serving.transformer.studies import StudyResult

_RESIDUAL = "mean absolute residual"


class Recorder:
    """Counts answered studies and keeps their statistics in the drift window.

    Args:
        metrics: where they are counted.
        drift: where their statistics are kept.
    """

    def __init__(self, metrics: Metrics, drift: DriftWindow) -> None:
        self._metrics, self._drift = metrics, drift

    def record(self, studies: Sequence["StudyResult"], job: Job) -> None:
        """Count the studies of an answered request, and the seconds of its stages."""
        for stage, seconds in job.timings.items():
            self._metrics.stage_seconds.labels(stage).observe(seconds)
        for study in studies:
            self._metrics.studies.labels(brand_label(study.scanner.brand)).inc()
            self._metrics.answers.labels(study.answer.label).inc()
            self._metrics.residual.observe(study.statistics[_RESIDUAL])
            self._drift.add(study.statistics, str(study.scanner))
        for name, value in self._drift.distances().items():
            self._metrics.drift.labels(name).set(value)
