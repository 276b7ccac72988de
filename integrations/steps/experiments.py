"""The steps that experiments have beside those of the training pipeline."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from covidctnet.experiments.options import ExperimentOptions, parse_options
from covidctnet.files import link_tree, write_json
from covidctnet.stages.prepared import PreparedCohort
from integrations.steps.cohorts import LEDGER, open_cohort, point_to
from integrations.steps.context import Step, open_step
from integrations.steps.training import HISTORIES, NETWORK, SHARD, open_state

if TYPE_CHECKING:
    from covidctnet.bundle import Bundle

_T = TypeVar("_T")
_NO_NAME = re.compile(r"[^\w .:/-]", re.ASCII)


def select_cases(
    *,
    cohort: str,
    cases: int,
    denoiser_controls: int,
    store: str,
    selected: str,
    splits: str,
    run: Mapping[str, str],
) -> None:
    """Choose the patients of an experiment.

    Args:
        cohort: output of `fetch_dataset`.
        cases: patients a class; 0 for all.
        denoiser_controls: Controls that train the denoiser and do nothing else.
        store: folder on the shared disk; receives the table of the chosen cases beside links to their images.
        selected: receives the place of the chosen cases, as `fetch_dataset` writes it.
        splits: receives `splits.csv`: who trains the denoiser.
        run: see `RunContext`.
    """
    from covidctnet.experiments.selection import link_selection, select_patients

    with open_step("select cases", run) as step:
        source = open_cohort(Path(cohort))
        ledger = select_patients(
            source, ExperimentOptions(cases=cases, denoiser_controls=denoiser_controls), step.run.config.seed
        )
        part = link_selection(source, ledger, Path(store) / f"{step.run.data_version}-{_digest(ledger.rows)}")
        point_to(Path(selected), part)
        folder = Path(splits)
        folder.mkdir(parents=True, exist_ok=True)
        ledger.save(folder / LEDGER)
        labels = [row.label for row in ledger.rows if row.split != "denoiser"]
        step.tracker.log_metrics({f"patients_{label}": labels.count(label) for label in sorted(set(labels))})
        step.save_seconds(Path(selected))


def _digest(rows: Sequence[object]) -> str:
    return hashlib.sha256(repr(rows).encode()).hexdigest()[:16]


def adopt_denoiser(*, bundle: str, pair_id: str, output: str, run: Mapping[str, str]) -> None:
    """Take the denoiser of a bundle in the place of one that a pipeline trained.

    Args:
        bundle: folder on the shared disk.
        pair_id: of the bundle, so that the cache sees which one it is.
        output: receives the network as `train_denoiser` writes it, without losses.
        run: see `RunContext`.

    Raises:
        BundleError: the folder holds no bundle, or another one.
    """
    from covidctnet.networks.saving import link_denoiser

    with open_step("adopt denoiser", run) as step:
        found = require_bundle(Path(bundle), pair_id)
        folder = Path(output)
        folder.mkdir(parents=True, exist_ok=True)
        link_denoiser(found.folder, folder / NETWORK)
        write_json(folder / HISTORIES, {})
        step.tracker.log_params({"pair_id": pair_id})
        step.save_seconds(folder)


def require_bundle(folder: Path, pair_id: str) -> "Bundle":
    """Open the bundle that a run was started with.

    Raises:
        BundleError: the folder holds no bundle, or another one.
    """
    from covidctnet.bundle import load_bundle
    from covidctnet.errors import BundleError

    found = load_bundle(folder)
    if found.pair_id != pair_id:
        raise BundleError(f"the folder holds bundle {found.pair_id}, not {pair_id}; run the command again")
    return found


def stack_slices(*, slices: str, with_noise: bool, output: str, run: Mapping[str, str]) -> None:
    """Stacks of one shard's slices without a denoiser.

    Args:
        slices: of the shard.
        with_noise: draw pseudo-infections into them, for training alone.
        output: receives what `extract_residuals` writes.
        run: see `RunContext`.
    """
    from covidctnet.experiments import raw_stacks
    from covidctnet.files import read_json

    shard, shards = read_json(Path(slices) / SHARD)
    with open_step(f"stack slices {shard + 1} of {shards}", run) as step:
        raw_stacks.stack_slices(
            Path(slices), step.run.config, Path(output), with_noise=with_noise, on_progress=step.on_progress
        )
        step.save_seconds(Path(output))


def join_shards(*, parts: Sequence[str], output: str) -> None:
    """Put the outputs of all shards into one folder, a numbered folder each: a loop cannot take collected ones."""
    for number, part in enumerate(parts):
        link_tree(Path(part), Path(output) / f"{number:04}")


def open_shards(joined: str) -> list[Path]:
    """The folders that `join_shards` put together, in their order."""
    return sorted(path for path in Path(joined).iterdir() if path.is_dir())


def list_folds(*, records: str, schemes: str, options: str, run: Mapping[str, str]) -> list[str]:
    """Names of the folds of one or more schemes, divided by commas, to fan out over."""
    from covidctnet.experiments.folds import fold_names

    with open_step("list folds", run):
        cases = PreparedCohort.load(open_shards(records)).cases
        return [name for scheme in schemes.split(",") for name in fold_names(cases, scheme, _parse(options))]  # type: ignore[arg-type]


def train_fold(
    *,
    records: str,
    stacks: str,
    training: str,
    fold: str,
    arm: str,
    clinical: str,
    options: str,
    state: str,
    answers: str,
    address: str,
    run: Mapping[str, str],
) -> str:
    """Train the 3D classifier on one fold and answer for its test patients.

    Args:
        records: of all shards, joined.
        stacks: of all shards, joined.
        training: stacks of the training cases, where they differ.
        fold: its name.
        arm: what is varied, in words.
        clinical: path of a table of age and sex; empty without.
        options: of the experiment, as JSON.
        state: folder that outlives the step, for checkpoints.
        answers: receives the answers.
        address: of the answers.
        run: see `RunContext`.

    Returns:
        The address.
    """
    with _open_fold(f"train fold - {arm}", fold, run) as step:
        from covidctnet.experiments import train_fold as stage
        from covidctnet.experiments.answers import save_answers
        from covidctnet.experiments.clinical import ClinicalTable
        from covidctnet.experiments.folds import make_fold
        from covidctnet.stages.extract_residuals import ResidualStacks

        cases = PreparedCohort.load(open_shards(records)).cases
        made = stage.train_fold(
            make_fold(cases, fold, _parse(options), step.run.config.seed),
            ResidualStacks.load(open_shards(stacks)),
            open_state(step, state),
            arm=arm,
            training=ResidualStacks.load(open_shards(training)),
            clinical=ClinicalTable.load(Path(clinical)) if clinical else None,
        )
        save_answers(Path(answers), made)
        step.tracker.log_history(made[0].history, prefix="classifier.")
        step.save_seconds(Path(answers))
        return address


def train_patches(
    *,
    records: str,
    slices: str,
    fold: str,
    options: str,
    state: str,
    answers: str,
    address: str,
    run: Mapping[str, str],
) -> str:
    """Train the patch-based baseline on one fold; arguments as for `train_fold`, with the slices of all shards.

    Returns:
        The address of the answers.
    """
    with _open_fold("train patches", fold, run) as step:
        from covidctnet.experiments.answers import save_answers
        from covidctnet.experiments.folds import make_fold
        from covidctnet.experiments.patch_fold import train_patch_fold

        cases = PreparedCohort.load(open_shards(records)).cases
        files = {path.stem: path for shard in open_shards(slices) for path in shard.glob("*.npy")}
        made = train_patch_fold(
            make_fold(cases, fold, _parse(options), step.run.config.seed), files, open_state(step, state)
        )
        save_answers(Path(answers), [made])
        step.tracker.log_history(made.history, prefix="patches.")
        step.save_seconds(Path(answers))
        return address


def _open_fold(name: str, fold: str, run: Mapping[str, str]) -> AbstractContextManager[Step]:
    seed = json.loads(run["config"])["seed"]
    return open_step(_NO_NAME.sub("_", f"{name} - {fold} - seed {seed}"), run)


def _parse(options: str) -> ExperimentOptions:
    return parse_options(json.loads(options))
