"""What is kept of an answered study: counts and input statistics."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from serving.admission import Job
from serving.telemetry.drift import LEVELS, DriftWindow, Level
from serving.telemetry.metrics import Metrics, brand_label

if TYPE_CHECKING:
    from serving.transformer.studies import StudyResult

_LOG = logging.getLogger(__name__)
_RESIDUAL = "mean absolute residual"


class Recorder:
    """Counts answered studies and keeps their statistics in the drift window.

    Args:
        metrics: where they are counted.
        drift: where their statistics are kept.
        log_answers: whether each answer is logged.
    """

    def __init__(self, metrics: Metrics, drift: DriftWindow, *, log_answers: bool = False) -> None:
        self._metrics, self._drift, self._log_answers = metrics, drift, log_answers
        self._levels: dict[str, Level] = {}

    def record(self, studies: Sequence["StudyResult"], job: Job) -> None:
        """Count the studies of an answered request, and the seconds of its stages."""
        for stage, seconds in job.timings.items():
            self._metrics.stage_seconds.labels(stage).observe(seconds)
        for study in studies:
            self._metrics.studies.labels(brand_label(study.scanner.brand)).inc()
            self._metrics.answers.labels(study.answer.label).inc()
            self._metrics.residual.observe(study.statistics[_RESIDUAL])
            self._drift.add(study.statistics, str(study.scanner))
            if self._log_answers:
                _log(study)
        self._show_drift()

    def _show_drift(self) -> None:
        metrics = self._metrics
        metrics.drift_studies.set(self._drift.studies)
        for name, share in self._drift.shares_outside().items():
            metrics.drift_outside.labels(name).set(share)
        for name, drift in self._drift.measure().items():
            metrics.drift_index.labels(name).set(drift.index)
            metrics.drift_by_chance.labels(name).set(drift.by_chance)
            metrics.drift_level.labels(name).set(LEVELS.index(drift.level))
            if drift.level != self._levels.get(name, LEVELS[0]):
                fields = {"statistic": name, "level": drift.level, "index": round(drift.index, 4)}
                _LOG.warning("drift", extra={"fields": fields})
            self._levels[name] = drift.level


def _log(study: "StudyResult") -> None:
    """What was said, under the request's id: two pairs that got the same request are compared by it."""
    answer = study.answer
    fields = {
        "pair_id": answer.pair_id,
        "label": answer.label,
        "covid_positive": answer.covid_positive,
        "probabilities": answer.probabilities,
    }
    _LOG.info("answer", extra={"fields": fields})
