"""The KServe model: what every protocol calls, once its codec has written the studies to disk."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kserve import Model

from covidctnet.report.explain import ReportKind
from serving.admission import Admission, Job
from serving.telemetry.recorder import Recorder
from serving.transformer.codecs.v2 import INPUT, OUTPUTS
from serving.transformer.pair import PairMonitor
from serving.transformer.reports import Report
from serving.transformer.studies import StudyResult, StudyService, to_document


@dataclass(frozen=True, kw_only=True)
class StudyRequest:
    """Studies to answer for, the job that they belong to, and the report that is wanted of each."""

    studies: tuple[Path, ...]
    job: Job
    report: ReportKind | None = None


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A study's JSON document, and its report where one was asked for."""

    document: dict[str, Any]
    report: Report | None


class CovidCTNetModel(Model):  # type: ignore[misc]
    """KServe's handlers: preprocess asks whether the pair is whole, predict works on the studies, postprocess tells.

    Args:
        name: under which clients ask for it.
        service: does the work.
        admission: says when.
        pair: whether the predictor is the other half.
        recorder: counts what was answered.
    """

    def __init__(
        self, name: str, *, service: StudyService, admission: Admission, pair: PairMonitor, recorder: Recorder
    ) -> None:
        super().__init__(name)
        self._service, self._admission, self._pair, self._recorder = service, admission, pair, recorder
        self.ready = True

    def load(self) -> bool:
        """Whether it is ready; nothing is left to load."""
        return self._pair.status.ready

    async def healthy(self) -> bool:
        """Whether the predictor serves this transformer's pair."""
        return self._pair.status.ready

    async def preprocess(self, payload: StudyRequest, headers: Mapping[str, str] | None = None) -> StudyRequest:
        """Let the request pass only where the pair is whole."""
        await self._pair.require_ready()
        return payload

    async def predict(
        self, payload: StudyRequest, headers: Mapping[str, str] | None = None, response_headers: Any = None
    ) -> tuple[StudyRequest, list[StudyResult]]:
        """Examine the studies in a worker, one after the other."""

        def work() -> list[StudyResult]:
            return [self._service.examine(study, payload.job, payload.report) for study in payload.studies]

        return payload, await self._admission.run(payload.job, work)

    async def postprocess(
        self,
        result: tuple[StudyRequest, list[StudyResult]],
        headers: Mapping[str, str] | None = None,
        response_headers: Any = None,
    ) -> list[Answered]:
        """One JSON document a study."""
        request, examined = result
        self._recorder.record(examined, request.job)
        version = self._service.bundle.serving_version
        return [Answered(document=to_document(study, request.job, version), report=study.report) for study in examined]

    def get_input_types(self) -> list[dict[str, Any]]:
        """The v2 input."""
        return [{"name": INPUT, "datatype": "BYTES", "shape": [-1]}]

    def get_output_types(self) -> list[dict[str, Any]]:
        """The v2 outputs."""
        return [{"name": name, "datatype": datatype, "shape": list(shape)} for name, datatype, shape in OUTPUTS]
