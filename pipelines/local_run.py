"""Run the pipeline on this machine: one subprocess a step, with a cache of finished steps."""

import builtins
import contextlib
import fcntl
import logging
import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from covidctnet import errors
from covidctnet.config import Config
from covidctnet.errors import CovidCTNetError, PipelineError, TrainingInterruptedError
from covidctnet.progress import Progress, silent
from integrations.step_events import StepEvent
from pipelines.gate import Gate
from pipelines.leftovers import end_leftovers, remove_unfinished
from pipelines.local_output import CacheHits, StepOutput
from pipelines.parameters import local_parameters, new_record
from pipelines.record import RunRecord, load_record
from pipelines.settings import PipelineSettings

_ROOT, _LOG = "steps", "runs"


@dataclass(frozen=True, kw_only=True)
class LocalResult:
    """What a run left behind.

    Attributes:
        bundle: folder of the evaluated bundle.
        results: folder with summary, report and figures.
        registration: folder with the model's version.
        decision: folder with both reports, `decision.json` and `decision.html`.
        record: what ran and what was reused.
    """

    bundle: Path
    results: Path
    registration: Path
    decision: Path
    record: RunRecord


def run_locally(
    workspace: Path,
    config: Config,
    data_version: str,
    settings: PipelineSettings,
    *,
    gate: Gate,
    policy: str = "",
    tracking_uri: str = "",
    on_progress: Progress = silent,
    on_reuse: Callable[[str], None] = lambda step: None,
) -> LocalResult:
    """Run the training pipeline in a workspace; a run that was killed goes on with the steps that it finished.

    Args:
        workspace: repository of the data; holds `steps/`, `state/`, `runs/`, `splits.csv` and MLflow's files.
        config: all stages.
        data_version: DVC's hash of the cohort.
        settings: shards and parallelism; resources have no effect here.
        gate: champion and policy of the promotion; a decision is made, and nothing is promoted.
        policy: of the metadata's validation, as YAML; the shipped one where empty.
        tracking_uri: address of an MLflow server; the workspace's own MLflow where empty.
        on_progress: told of steps done and of pieces of each stage.
        on_reuse: told of each step whose finished outputs are used again.

    Raises:
        CovidCTNetError: the error of the step that failed, with its own class and message.
        PipelineError: another run is under way in the workspace, or a step ended without a reason.
        TrainingInterruptedError: SIGTERM came.
    """
    workspace = workspace.resolve()
    parameters = local_parameters(
        workspace, config, data_version, settings, gate=gate, policy=policy, tracking_uri=tracking_uri
    )

    def start() -> Any:
        from pipelines.training import build_pipeline

        return build_pipeline(settings)(**parameters)

    record = new_record(config, parameters)
    outputs, record = execute(workspace, record, start, on_progress=on_progress, on_reuse=on_reuse)
    return LocalResult(
        bundle=Path(outputs["bundle"].path),
        results=Path(outputs["results"].path),
        registration=Path(outputs["registration"].path),
        decision=Path(outputs["decision"].path),
        record=record,
    )


def execute(
    workspace: Path,
    record: RunRecord,
    start: Callable[[], Any],
    *,
    on_progress: Progress = silent,
    on_reuse: Callable[[str], None] = lambda step: None,
) -> tuple[Mapping[str, Any], RunRecord]:
    """Run any pipeline in a workspace, under the local runner and its cache.

    Args:
        workspace: absolute path.
        record: of a run that has not started; that of an earlier attempt is gone on with.
        start: calls the pipeline; the runner then runs it.
        on_progress: told of steps done and of pieces of each stage.
        on_reuse: told of each step whose finished outputs are used again.

    Returns:
        The pipeline's outputs by name, and what ran and what was reused.

    Raises:
        CovidCTNetError: see `run_locally`.
    """
    if record.path(workspace).is_file():
        record = load_record(record.path(workspace))
    with _only_run(workspace):
        end_leftovers(workspace / _ROOT)
        remove_unfinished(workspace / _ROOT)
        return _Run(workspace, record, on_progress, on_reuse).run(start), record


class _Run:
    def __init__(
        self, workspace: Path, record: RunRecord, on_progress: Progress, on_reuse: Callable[[str], None]
    ) -> None:
        self._workspace, self._record = workspace, record
        self._on_progress, self._on_reuse = on_progress, on_reuse
        self._stopped = False

    def run(self, start: Callable[[], Any]) -> Mapping[str, Any]:
        record, started = self._record, time.monotonic()
        record.state, record.attempts = "running", record.attempts + 1
        for step in [step for step in record.steps if step.state != "finished"]:
            if step.state == "reused":
                step.state = "finished"
            else:
                record.steps.remove(step)
        record.save(self._workspace)
        self._tell_steps()
        try:
            with self._environment():
                outputs: Mapping[str, Any] = start().outputs
        except RuntimeError as error:
            record.state = "failed"
            raise self._explain() from error
        else:
            record.state = "finished"
        finally:
            record.seconds = round(time.monotonic() - started, 1)
            record.save(self._workspace)
        return outputs

    @contextlib.contextmanager
    def _environment(self) -> Iterator[None]:
        """The local runner, with its output in a log and a request to stop passed on to the steps."""
        from kfp import local

        path = self._workspace / _LOG / f"{self._record.run_id}.log"
        logger, level, printing = logging.getLogger(), logging.getLogger().level, builtins.print
        hits = CacheHits(self._reuse)
        handler = signal.signal(signal.SIGTERM, self._stop)
        with path.open("a", encoding="utf-8") as log, warnings.catch_warnings():
            # Resources and display names have no effect here, which is what a local run means.
            warnings.simplefilter("ignore")
            output = StepOutput(log, self._hear)
            kept = logging.StreamHandler(output)
            others = logger.handlers[:]
            logger.handlers[:] = [kept]
            logger.addFilter(hits)
            logger.setLevel(logging.INFO)
            try:
                with contextlib.redirect_stdout(output):
                    local.init(
                        local.SubprocessRunner(use_venv=False),
                        pipeline_root=str(self._workspace / _ROOT),
                        workspace_root=str(self._workspace / _ROOT / ".workspace"),
                        enable_caching=True,
                    )
                    yield
            finally:
                # The runner replaces `print` for its shards' threads and does not always put it back.
                builtins.print = printing
                logger.removeFilter(hits)
                logger.handlers[:] = others
                logger.setLevel(level)
                signal.signal(signal.SIGTERM, handler)

    def _hear(self, event: StepEvent) -> None:
        if event.event == "progress":
            self._on_progress(event.stage, event.done, event.total)
            return
        self._record.apply(event)
        self._record.save(self._workspace)
        self._tell_steps()

    def _reuse(self, component: str) -> None:
        for step in self._record.reuse(component):
            self._on_reuse(step)
        self._record.save(self._workspace)
        self._tell_steps()

    def _tell_steps(self) -> None:
        self._on_progress("steps", *self._record.totals)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopped = True
        for step in self._record.steps:
            if step.state == "running":
                with contextlib.suppress(ProcessLookupError):
                    os.kill(step.process, signal.SIGTERM)

    def _explain(self) -> CovidCTNetError:
        step = self._record.failed
        if step is None:
            return PipelineError("the pipeline failed between its steps; see the log in runs/")
        if step.message:
            kind = getattr(errors, step.error, PipelineError)
            return kind(f"step {step.step}: {step.message}")
        if self._stopped:
            return TrainingInterruptedError(f"stopped in step {step.step}; run the same command to go on")
        if step.error:
            return PipelineError(f"step {step.step} failed with {step.error}; see the log in runs/")
        return PipelineError(
            f"step {step.step} ended without a word: it was killed, or memory ran out; run the same command to go on"
        )


@contextlib.contextmanager
def _only_run(workspace: Path) -> Iterator[None]:
    (workspace / _LOG).mkdir(parents=True, exist_ok=True)
    with (workspace / _LOG / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PipelineError("a pipeline runs in this workspace already; wait for it, or use another one") from None
        yield
