"""What the pipeline is started with: versions by content, so that the cache sees what changed."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from covidctnet.config import Config
from covidctnet.machine import code_version
from integrations.steps.context import run_key
from pipelines.gate import Gate
from pipelines.record import RunRecord
from pipelines.settings import PipelineSettings


def local_parameters(
    workspace: Path,
    config: Config,
    data_version: str,
    settings: PipelineSettings,
    *,
    gate: Gate,
    policy: str = "",
    tracking_uri: str = "",
) -> dict[str, Any]:
    """Parameters of a run in a workspace on this machine.

    Args:
        workspace: absolute path.
        config: all stages.
        data_version: DVC's hash of the cohort.
        settings: shards.
        gate: champion and policy of the promotion.
        policy: of the metadata's validation, as YAML; the shipped one where empty.
        tracking_uri: address of an MLflow server; the workspace's own MLflow where empty.
    """
    from integrations.tracking import TrackingSettings

    state, tracking = workspace / "state", TrackingSettings.embedded(workspace)
    if tracking_uri:
        tracking = TrackingSettings(uri=tracking_uri, spool=tracking.spool)
    return _parameters(
        config,
        data_version,
        settings,
        policy=policy,
        **gate.parameters(),
        repository=str(workspace),
        store=str(state / "cohorts"),
        ledger=str(workspace / "splits.csv"),
        state=str(state / "checkpoints"),
        tracking=json.dumps(asdict(tracking), sort_keys=True),
    )


def cluster_parameters(
    config: Config,
    data_version: str,
    settings: PipelineSettings,
    *,
    repository: str,
    tracking_uri: str,
    gate: Gate,
    endpoint: str = "",
    policy: str = "",
) -> dict[str, Any]:
    """Parameters of a run on a cluster, whose steps share a disk.

    Args:
        config: all stages.
        data_version: DVC's hash of the cohort.
        settings: shards and the shared disk.
        repository: address of DVC's remote.
        endpoint: address of an S3 server that is not Amazon's.
        tracking_uri: address of the MLflow server.
        gate: champion and policy of the promotion.
        policy: of the metadata's validation, as YAML; the shipped one where empty.

    Raises:
        ConfigError: the settings name no shared disk.
    """
    from covidctnet.errors import ConfigError
    from integrations.tracking import TrackingSettings

    if settings.shared_disk is None:
        raise ConfigError("the settings name no shared_disk; the steps need one for cohort, checkpoints and splits")
    disk = settings.shared_disk.mount.rstrip("/")
    return _parameters(
        config,
        data_version,
        settings,
        policy=policy,
        **gate.parameters(),
        repository=repository,
        endpoint=endpoint,
        store=f"{disk}/cohorts",
        ledger=f"{disk}/splits.csv",
        state=f"{disk}/checkpoints",
        tracking=json.dumps(asdict(TrackingSettings(uri=tracking_uri, spool=f"{disk}/tracking-spool")), sort_keys=True),
    )


def _parameters(config: Config, data_version: str, settings: PipelineSettings, **places: str) -> dict[str, Any]:
    return {
        "data_version": data_version,
        "config": json.dumps(asdict(config), sort_keys=True),
        "code_version": code_version(),
        "cases_per_shard": settings.cases_per_shard,
        **places,
    }


def new_record(config: Config, parameters: Mapping[str, Any]) -> RunRecord:
    """The record of a run that has not started."""
    data_version, code = parameters["data_version"], parameters["code_version"]
    everything = json.dumps(parameters, sort_keys=True)
    return RunRecord(
        run_id=hashlib.sha256(everything.encode()).hexdigest()[:12],
        run_key=run_key(data_version, config.digest, code),
        profile=config.name,
        seed=config.seed,
        data_version=data_version,
        config_digest=config.digest,
        code_version=code,
    )
