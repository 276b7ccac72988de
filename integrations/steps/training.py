"""The steps from cases to a bundle."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from covidctnet.files import read_json, write_json
from covidctnet.stages.prepared import PreparedCohort
from covidctnet.training.history import History
from integrations.steps.cohorts import load_ledger, load_shard, open_cohort
from integrations.steps.context import Step, open_step

if TYPE_CHECKING:
    from covidctnet.stages.training_state import TrainingState
    from covidctnet.training.checkpoint import Weights
    from covidctnet.training.starting_point import StartingPoint

SHARD = "shard.json"
"""Number of a shard and how many there are, beside its slices."""

NETWORK = "network"
"""Folder of the denoiser, beside its losses."""

LogMetric = Callable[[str, float], None]

HISTORIES = "histories.json"
"""Losses by epoch and training, beside what was trained."""


def preprocess(
    *,
    cohort: str,
    splits: str,
    validated: str,
    shard: int,
    slices: str,
    healthy: str,
    records: str,
    address: str,
    run: Mapping[str, str],
) -> str:
    """Preprocess the cases of one shard.

    Args:
        cohort: output of `fetch_dataset`.
        splits: output of `settle_splits`.
        validated: output of `validate_scanner_metadata`.
        shard: number of the shard, from 0.
        slices: receives the slices of training and validation.
        healthy: receives those of healthy lungs that the denoiser needs, with masks.
        records: receives a record of each case.
        address: of the slices, for the step that needs this shard alone.
        run: see `RunContext`.

    Returns:
        The address.
    """
    from covidctnet.stages.preprocess_cohort import ShardFolders, preprocess_shard

    source = open_cohort(Path(cohort))
    cases, shards = load_shard(Path(validated), source, shard)
    with open_step(f"preprocess {shard + 1} of {shards}", run) as step:
        folders = ShardFolders(slices=Path(slices), healthy=Path(healthy), records=Path(records))
        ledger = load_ledger(Path(splits))
        preprocess_shard(source, cases, ledger, step.run.config, folders, on_progress=step.on_progress)
        step.tracker.log_metrics({"cases": len(cases)})
        write_json(folders.slices / SHARD, [shard, shards])
        step.save_seconds(folders.records)
        return address


def train_denoiser(
    *,
    records: Sequence[str],
    healthy: Sequence[str],
    state: str,
    output: str,
    log_metric: LogMetric,
    metrics: str,
    run: Mapping[str, str],
) -> None:
    """Train the denoiser on the healthy slices of all shards.

    Args:
        records: of all shards.
        healthy: of all shards.
        state: folder that outlives the step, for checkpoints.
        output: receives the network and its losses.
        log_metric: takes a name and a last loss.
        metrics: receives the same figures.
        run: see `RunContext`.
    """
    with open_step("train denoiser", run) as step:
        from covidctnet.stages.train_denoiser import train_and_save_denoiser

        folder = Path(output)
        point = _fetch_start(step, state)
        start = point.denoiser_for(step.run.config) if point else None
        _log_start(step, start)
        prepared = PreparedCohort.load(map(Path, records))
        histories = train_and_save_denoiser(
            prepared, [Path(path) for path in healthy], folder / NETWORK, open_state(step, state), start=start
        )
        _close_training(step, histories, folder, log_metric, Path(metrics))


def extract_residuals(*, slices: str, denoiser: str, output: str, run: Mapping[str, str]) -> None:
    """Residual stacks of one shard's training and validation cases.

    Args:
        slices: of the shard.
        denoiser: output of `train_denoiser`.
        output: receives the stacks and the statistics of each case.
        run: see `RunContext`.
    """
    shard, shards = read_json(Path(slices) / SHARD)
    with open_step(f"extract residuals {shard + 1} of {shards}", run) as step:
        from covidctnet.networks.saving import load_denoiser
        from covidctnet.stages import extract_residuals as stage

        network = load_denoiser(Path(denoiser) / NETWORK, step.run.config.residual)
        names = stage.extract_residuals(
            Path(slices), network, step.run.config, Path(output), on_progress=step.on_progress
        )
        step.tracker.log_metrics({"cases": len(names)})
        step.save_seconds(Path(output))


def train_classifier(
    *,
    records: Sequence[str],
    residuals: Sequence[str],
    denoiser: str,
    state: str,
    bundle: str,
    training: str,
    log_metric: LogMetric,
    metrics: str,
    run: Mapping[str, str],
) -> None:
    """Train the classifier on the residuals of all shards and write the bundle.

    Args:
        records: of all shards.
        residuals: of all shards.
        denoiser: output of `train_denoiser`.
        state: folder that outlives the step, for checkpoints.
        bundle: becomes the bundle.
        training: receives the losses.
        log_metric: takes a name and a last loss.
        metrics: receives the same figures.
        run: see `RunContext`.
    """
    with open_step("train classifier", run) as step:
        from covidctnet.stages.extract_residuals import ResidualStacks
        from covidctnet.stages.train_classifier import train_and_write_bundle

        point = _fetch_start(step, state)
        start = point.classifier_for(step.run.config) if point else None
        _log_start(step, start)
        made, history = train_and_write_bundle(
            PreparedCohort.load(map(Path, records)),
            ResidualStacks.load(map(Path, residuals)),
            Path(denoiser) / NETWORK,
            Path(bundle),
            open_state(step, state),
            data_version=step.run.data_version,
            start=start,
            inherited=point.trained_on if point else (),
        )
        step.tracker.log_params({"pair_id": made.pair_id})
        _close_training(step, {"classifier": history}, Path(training), log_metric, Path(metrics))


def open_state(step: Step, folder: str) -> "TrainingState":
    """The folder of checkpoints of a training step."""
    from covidctnet.stages.training_state import TrainingState

    return TrainingState(
        folder=Path(folder),
        config=step.run.config,
        code_version=step.run.code_version,
        on_progress=step.on_progress,
    )


def _fetch_start(step: Step, state: str) -> "StartingPoint | None":
    """The bundle that the configuration starts from, from the registry; None for a start from the seed."""
    pair_id = step.run.config.start_from
    if not pair_id:
        return None
    from covidctnet.training.starting_point import StartingPoint
    from integrations.registry import fetch_pair
    from integrations.tracking import TrackingSettings

    folder = Path(state) / "start" / pair_id
    return StartingPoint.load(fetch_pair(pair_id, folder, settings=TrackingSettings(**step.run.tracking)))


def _log_start(step: Step, start: "Weights | None") -> None:
    pair_id = step.run.config.start_from
    started = "seed" if start is None else f"bundle {pair_id}"
    step.tracker.log_params(
        {"started_from": f"seed: the shapes of {pair_id} differ" if pair_id and start is None else started}
    )


def _close_training(
    step: Step, histories: Mapping[str, History], folder: Path, log_metric: LogMetric, metrics: Path
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / HISTORIES, histories)
    last: dict[str, float] = {}
    for name, history in histories.items():
        prefix = name.replace(" ", "_")
        step.tracker.log_history(history, prefix=f"{prefix}.")
        last |= {f"{prefix}_{what}": history[what][-1] for what in ("loss", "val_loss")}
    for name, value in last.items():
        log_metric(name, value)
    write_json(metrics, last)
    step.save_seconds(folder)


def load_histories(folders: Sequence[Path]) -> dict[str, History]:
    """Losses by epoch and training."""
    found: dict[str, History] = {}
    for folder in folders:
        found |= read_json(folder / HISTORIES)
    return found
