"""Runs of MLflow: one parent a pipeline run, found by its key, and one child an attempt at a step."""

import fcntl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from integrations.tracking_client import TrackingSettings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

RUN_KEY = "covidctnet.run_key"
STEP = "covidctnet.step"
ATTEMPT = "covidctnet.attempt"
PARENT = "mlflow.parentRunId"


def find_experiment(client: "MlflowClient", settings: TrackingSettings) -> str:
    """The experiment's identifier; it is made where it is not there."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(settings.experiment)
    if found is None:
        try:
            return str(client.create_experiment(settings.experiment, artifact_location=settings.artifacts or None))
        except MlflowException:
            # Another step may have made it in the meantime.
            found = client.get_experiment_by_name(settings.experiment)
            if found is None:
                raise
    return str(found.experiment_id)


def find_parent(client: "MlflowClient", settings: TrackingSettings, run_key: str) -> str:
    """The run of a pipeline run; it is made where no step has made it yet.

    Steps that start at the same time may each make one. They all look again and take the oldest; the others delete
    theirs. A file's lock replaces the look on one machine.
    """
    experiment = find_experiment(client, settings)
    with _lock(settings) if settings.is_local else nullcontext():
        known = _parents(client, experiment, run_key)
        if known:
            return str(known[0].info.run_id)
        made = client.create_run(
            experiment, tags={RUN_KEY: run_key, "covidctnet.kind": "pipeline run"}, run_name=f"run {run_key[:12]}"
        )
    if not settings.is_local:
        time.sleep(settings.settle_seconds)
        oldest = _parents(client, experiment, run_key)[0]
        if oldest.info.run_id != made.info.run_id:
            client.delete_run(made.info.run_id)
        return str(oldest.info.run_id)
    return str(made.info.run_id)


def _parents(client: "MlflowClient", experiment: str, run_key: str) -> list["Run"]:
    found = client.search_runs(
        [experiment], filter_string=f"tags.`{RUN_KEY}` = '{run_key}' and tags.`covidctnet.kind` = 'pipeline run'"
    )
    return sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))


@contextmanager
def _lock(settings: TrackingSettings) -> Iterator[None]:
    path = Path(urlsplit(settings.uri).path[1:])
    with path.with_name(path.name + ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def find_step(
    client: "MlflowClient",
    settings: TrackingSettings,
    *,
    run_key: str,
    step: str,
    attempt: str,
    started: int,
    tags: Mapping[str, str],
) -> str:
    """The run of one attempt at a step; it is made where it is not there, and earlier open attempts are closed.

    Args:
        client: connection.
        settings: experiment.
        run_key: which pipeline run.
        step: name of the step.
        attempt: identifier of the attempt.
        started: time of its start, ms since the epoch.
        tags: tags of the run.
    """
    parent = find_parent(client, settings, run_key)
    experiment = find_experiment(client, settings)
    earlier = client.search_runs(
        [experiment], filter_string=f"tags.`{PARENT}` = '{parent}' and tags.`{STEP}` = '{step}'"
    )
    for run in earlier:
        if run.data.tags.get(ATTEMPT) == attempt:
            return str(run.info.run_id)
        if run.info.status == "RUNNING":
            client.set_terminated(run.info.run_id, status="KILLED")
    client.update_run(parent, status="RUNNING")
    made = client.create_run(
        experiment,
        start_time=started,
        tags={**tags, PARENT: parent, STEP: step, ATTEMPT: attempt, RUN_KEY: run_key},
        run_name=step,
    )
    return str(made.info.run_id)
