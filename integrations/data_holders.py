"""Who still holds a patient that left the cohort: data versions, MLflow runs and bundles."""

import json
import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from covidctnet.errors import DataStoreError
from integrations.data_history import cases_of, read_log
from integrations.data_workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Holders:
    """Where a patient's images, or weights that saw them, still are.

    Attributes:
        versions: DVC md5 of the data versions, oldest first.
        runs: identifiers of the MLflow runs that used one of them; None where MLflow could not be asked.
        bundles: identifiers of the bundles that were trained on one of them.
    """

    versions: tuple[str, ...]
    runs: tuple[str, ...] | None
    bundles: tuple[str, ...]


def find_holders(
    workspace: Workspace, patient: str, *, tracking_uri: str = "", bundles: Sequence[Path] = ()
) -> Holders:
    """Look through the log of data versions, MLflow and bundles.

    Args:
        workspace: with the log.
        patient: pseudonym.
        tracking_uri: of MLflow; it is not asked when empty.
        bundles: folders that are searched for bundles.
    """
    held = [record for record in read_log(workspace) if _holds(workspace, record.version, patient)]
    versions = tuple(dict.fromkeys(record.version for record in held))
    names = {*versions, *(record.cohort_version for record in held)}
    return Holders(
        versions=versions,
        runs=_runs(tracking_uri, names) if tracking_uri else None,
        bundles=tuple(sorted(_bundles(bundles, names))),
    )


def _holds(workspace: Workspace, version: str, patient: str) -> bool:
    try:
        return any(case.patient == patient for case in cases_of(workspace, version))
    except DataStoreError:
        return False


def _runs(tracking_uri: str, names: set[str]) -> tuple[str, ...] | None:
    with warnings.catch_warnings():
        # Its libraries warn each other of what they will drop.
        warnings.simplefilter("ignore")
        return _search_runs(tracking_uri, names)


def _search_runs(tracking_uri: str, names: set[str]) -> tuple[str, ...] | None:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    import mlflow

    client = mlflow.MlflowClient(tracking_uri)
    try:
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        found = set()
        token: str | None = None
        while experiments:
            page = client.search_runs(experiments, page_token=token)
            for run in page:
                values = {*run.data.params.values(), *run.data.tags.values()}
                digests = {one.dataset.digest for one in run.inputs.dataset_inputs} if run.inputs else set()
                if names & (values | digests):
                    found.add(run.info.run_id)
            token = page.token
            if not token:
                break
    except mlflow.exceptions.MlflowException:
        return None
    return tuple(sorted(found))


def _bundles(folders: Iterable[Path], names: set[str]) -> set[str]:
    found = set()
    for folder in folders:
        for manifest in folder.rglob("manifest.json"):
            try:
                content = json.loads(manifest.read_text("utf-8"))
            except (OSError, ValueError):
                continue
            if isinstance(content, dict) and names & {str(content.get("data_version")), str(content.get("data_md5"))}:
                found.add(str(content.get("pair_id", "unnamed")))
    return found
