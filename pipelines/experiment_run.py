"""Run an experiment in a workspace, and put its result where a person and the report look for it."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from covidctnet.config import Config
from covidctnet.experiments.options import ExperimentOptions
from covidctnet.experiments.results import ExperimentResult, load_result, write_result
from covidctnet.files import publish
from covidctnet.machine import code_version
from covidctnet.phantom.demographics import write_demographics
from covidctnet.progress import Progress, silent
from pipelines.experiment_plan import ExperimentPlan
from pipelines.experiments import build_experiment
from pipelines.local_run import execute
from pipelines.parameters import new_record
from pipelines.settings import PipelineSettings

_TRACKED_AS = "covidctnet-experiments"
_INPUTS = "inputs"


def run_experiment(
    workspace: Path,
    plan: ExperimentPlan,
    data_version: str,
    settings: PipelineSettings,
    *,
    output: Path,
    tracking_uri: str = "",
    on_progress: Progress = silent,
    on_reuse: Callable[[str], None] = lambda step: None,
) -> ExperimentResult:
    """Run an experiment's pipeline here; one that was killed goes on with the steps that it finished.

    Experiments of one workspace share its cache: what one has trained, another with the same cases, seeds and
    configuration uses again.

    Args:
        workspace: repository of the data.
        plan: what is run.
        data_version: DVC's hash of the cohort.
        settings: shards and parallelism.
        output: becomes the result's folder; what was there stays until the new one is whole.
        tracking_uri: address of an MLflow server; the workspace's own MLflow where empty.
        on_progress: told of steps done and of pieces of each stage.
        on_reuse: told of each step whose finished outputs are used again.

    Raises:
        CovidCTNetError: see `local_run.run_locally`.
    """
    workspace = workspace.resolve()
    parameters = experiment_parameters(workspace, plan, data_version, settings, tracking_uri=tracking_uri)
    # What is inlined into the pipeline belongs to the run's identity as the parameters do.
    inlined = {name: value for name, value in asdict(plan).items() if name not in {"config", "options"}}
    record = new_record(plan.config, {**parameters, **inlined})
    record.open_ended = True
    outputs, record = execute(
        workspace,
        record,
        lambda: build_experiment(plan, settings)(**parameters),
        on_progress=on_progress,
        on_reuse=on_reuse,
    )
    folder = Path(next(iter(outputs.values())).path)
    publish(folder, output)
    result = replace(load_result(output), seconds=record.seconds)
    write_result(output, result)
    return result


def experiment_parameters(
    workspace: Path, plan: ExperimentPlan, data_version: str, settings: PipelineSettings, *, tracking_uri: str = ""
) -> dict[str, Any]:
    """Parameters of an experiment in a workspace on this machine; arguments as of `run_experiment`."""
    from integrations.tracking import TrackingSettings

    state, tracking = workspace / "state", TrackingSettings.embedded(workspace)
    if tracking_uri:
        tracking = TrackingSettings(uri=tracking_uri, spool=tracking.spool)
    tracking = replace(tracking, experiment=_TRACKED_AS)
    return {
        "repository": str(workspace),
        "data_version": data_version,
        "config": json.dumps(asdict(plan.config), sort_keys=True),
        "code_version": code_version(),
        "tracking": json.dumps(asdict(tracking), sort_keys=True),
        "store": str(state / "cohorts"),
        "state": str(state / "checkpoints"),
        "options": plan.options.to_json(),
        "cases": plan.options.cases,
        "denoiser_controls": plan.options.denoiser_controls,
        "cases_per_shard": settings.cases_per_shard,
    }


def phantom_config(config: Config, options: ExperimentOptions) -> Config:
    """The configuration whose phantom cohort has just the cases of an experiment."""
    cases = options.cases or config.phantom.covid
    phantom = replace(config.phantom, controls=cases + options.denoiser_controls, covid=cases, cap=cases)
    return replace(config, phantom=phantom)


def keep_input(workspace: Path, source: Path) -> str:
    """Copy a file into the workspace under a name made of its content, so that the cache sees a change."""
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    folder = workspace.resolve() / _INPUTS
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{digest}{source.suffix}"
    if not kept.is_file():
        partial = kept.with_name(f".{kept.name}.partial")
        shutil.copyfile(source, partial)
        partial.rename(kept)
    return str(kept)


def phantom_demographics(workspace: Path, seed: int) -> str:
    """Age bands and sex drawn for the phantoms of a workspace, without regard to their class."""
    from covidctnet.cohort import Cohort
    from pipelines.workspaces import DATA

    folder = workspace / _INPUTS
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "phantoms.csv"
    write_demographics(path, [case.patient for case in Cohort.load(workspace / DATA).cases], seed)
    return keep_input(workspace, path)
