"""Where the training pipeline of a retraining runs: in the workspace, or on a cluster."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from covidctnet.config import Config
from covidctnet.errors import PipelineError
from covidctnet.progress import Progress, silent
from integrations.steps.context import run_key
from integrations.steps.gate import decision_folder
from pipelines.gate import Gate
from pipelines.settings import PipelineSettings
from pipelines.submission import Endpoint, fetch_run, find_run, submit


@dataclass(frozen=True, kw_only=True)
class RunState:
    """Where a run stands.

    Attributes:
        run: its identifier.
        state: whether it is over.
        decision: folder of the decision, once it is.
    """

    run: str
    state: Literal["running", "finished"]
    decision: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Start:
    """What is known of a run before it is looked at.

    Attributes:
        run: its identifier, empty where it was not started yet.
        attempt: counts the starts.
        code_version: with which it was or is started.
    """

    run: str
    attempt: int
    code_version: str


class Runner(Protocol):
    """Runs the pipeline, or looks at the run that was started before."""

    def run(self, config: Config, data_version: str, gate: Gate, *, started: Start) -> RunState:
        """Start the run, or go on with it.

        Args:
            config: all stages.
            data_version: DVC's hash of the cohort.
            gate: champion and policy.
            started: what is known of the run.

        Raises:
            CohortError: the data version is not fit for training.
            CovidCTNetError: the run failed.
        """


@dataclass(frozen=True, kw_only=True)
class LocalRunner:
    """Steps as processes of this machine; a run that was killed goes on with the steps that it finished."""

    workspace: Path
    settings: PipelineSettings
    policy: str = ""
    on_progress: Progress = silent
    on_reuse: Callable[[str], None] = lambda step: None

    def run(self, config: Config, data_version: str, gate: Gate, *, started: Start) -> RunState:
        """Run to the end; see `Runner`."""
        from pipelines.local_run import run_locally
        from pipelines.results import publish_results

        result = run_locally(
            self.workspace,
            config,
            data_version,
            self.settings,
            gate=gate,
            policy=self.policy,
            on_progress=self.on_progress,
            on_reuse=self.on_reuse,
        )
        publish_results(result, self.workspace)
        return RunState(run=result.record.run_id, state="finished", decision=result.decision)


@dataclass(frozen=True, kw_only=True)
class ClusterRunner:
    """A run on Kubeflow, which is started once and looked at afterwards.

    Attributes:
        endpoint: of Kubeflow Pipelines.
        settings: with a pinned image and the shared disk.
        repository, storage_endpoint: of the data.
        tracking_uri: of MLflow.
        shared_disk: the disk's folder as this machine sees it; decisions are read there.
        policy: of the metadata's validation, as YAML.
        service_account, pipeline_root: as for `submit`.
    """

    endpoint: Endpoint
    settings: PipelineSettings
    repository: str
    tracking_uri: str
    shared_disk: Path
    storage_endpoint: str = ""
    policy: str = ""
    service_account: str = ""
    pipeline_root: str = ""

    def run(self, config: Config, data_version: str, gate: Gate, *, started: Start) -> RunState:
        """Start, or look; see `Runner`."""
        name = f"retrain {data_version[:12]} against {gate.champion}, attempt {started.attempt}"
        # A submission whose answer was lost is found by its name, and not made twice.
        run_id = started.run or find_run(self.endpoint, name) or self._submit(config, data_version, gate, name)
        found = fetch_run(self.endpoint, run_id)
        if found.state == "SUCCEEDED":
            return RunState(
                run=run_id, state="finished", decision=self._decision(config, data_version, gate, started.code_version)
            )
        if found.state in {"FAILED", "CANCELED", "CANCELING", "SKIPPED"}:
            failed = [step.step for step in found.steps if step.state == "FAILED"]
            where = f" in step {failed[0]}" if failed else ""
            raise PipelineError(f"run {run_id} ended as {found.state}{where}; look at it in Kubeflow")
        return RunState(run=run_id, state="running")

    def _submit(self, config: Config, data_version: str, gate: Gate, name: str) -> str:
        from pipelines.compilation import compile_pipeline
        from pipelines.parameters import cluster_parameters

        parameters = cluster_parameters(
            config,
            data_version,
            self.settings,
            repository=self.repository,
            tracking_uri=self.tracking_uri,
            gate=gate,
            endpoint=self.storage_endpoint,
            policy=self.policy,
        )
        with tempfile.TemporaryDirectory() as folder:
            package = compile_pipeline(self.settings, Path(folder) / "training.yaml")
            return submit(
                self.endpoint,
                package,
                parameters,
                name=name,
                service_account=self.service_account,
                pipeline_root=self.pipeline_root,
            )

    def _decision(self, config: Config, data_version: str, gate: Gate, code: str) -> Path:
        key = run_key(data_version, config.digest, code)
        folder = decision_folder(str(self.shared_disk / "splits.csv"), key, gate.champion, gate.policy)
        if not folder.is_dir():
            raise PipelineError(
                f"the run has ended, but the shared disk holds no decision {folder.name}; is it the right folder, and "
                "this release that of the run's image?"
            )
        return folder
