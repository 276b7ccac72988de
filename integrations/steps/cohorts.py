"""The steps before any training: fetch the data version, settle the splits, validate the scanners."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from covidctnet.cohort import Case, Cohort
from covidctnet.errors import CohortError
from covidctnet.files import publish, read_json, write_json
from covidctnet.scanner_metadata import describe_cohort
from covidctnet.splits import Ledger, assign_splits
from covidctnet.stages.preprocess_cohort import count_shards, shard_cases
from integrations.steps.context import open_step

_LOCATION, _SHARDS = "location.json", "shards.json"

LEDGER = "splits.csv"
"""The ledger in the output of `settle_splits`."""

VERDICT = "validation/verdict.json"
"""The verdict in the output of `validate_scanner_metadata`."""


def fetch_dataset(*, repository: str, endpoint: str, store: str, output: str, run: Mapping[str, str]) -> None:
    """Bring a data version to the store that all steps share; the output says where it is.

    Args:
        repository: workspace's folder, or address of DVC's remote.
        endpoint: address of an S3 server that is not Amazon's; empty otherwise.
        store: folder on the shared disk; a version that is there already is checked and used.
        output: receives `cohort.csv` and the place of the cases.
        run: see `RunContext`.
    """
    from integrations.data_versions import materialise

    with open_step("fetch dataset", run) as step:
        version = step.run.data_version
        place = Path(store) / version
        cohort = Cohort.load(place) if place.is_dir() else materialise(repository, version, place, endpoint=endpoint)
        cohort.verify()
        folder = Path(output)
        point_to(folder, cohort)
        labels = [case.label for case in cohort.cases]
        summary = {"cases": len(labels), **{label: labels.count(label) for label in sorted(set(labels))}}
        step.tracker.log_dataset("cohort", version, summary)
        step.save_seconds(folder)


def point_to(folder: Path, cohort: Cohort) -> None:
    """Write a cohort's table and its place on the shared disk into a step's output; see `open_cohort`."""
    folder.mkdir(parents=True, exist_ok=True)
    publish(cohort.folder / "cohort.csv", folder / "cohort.csv")
    write_json(folder / _LOCATION, {"folder": str(cohort.folder.resolve())})


def open_cohort(fetched: Path) -> Cohort:
    """The cohort that `fetch_dataset` brought.

    Raises:
        CohortError: its cases are no longer on the shared disk.
    """
    folder = Path(read_json(fetched / _LOCATION)["folder"])
    if not folder.is_dir():
        raise CohortError("the fetched cohort is no longer on the shared disk; run the pipeline without its cache")
    return Cohort.load(folder)


def settle_splits(*, cohort: str, ledger: str, output: str, run: Mapping[str, str]) -> None:
    """Give every patient who has none a split, and add them to the ledger that outlives the run.

    Args:
        cohort: output of `fetch_dataset`.
        ledger: path of `splits.csv` on the shared disk; made where it is not there.
        output: receives `splits.csv`.
        run: see `RunContext`.
    """
    with open_step("assign splits", run) as step:
        path = Path(ledger)
        config = step.run.config
        grown = assign_splits(open_cohort(Path(cohort)), config.splits, config.seed, Ledger.load(path))
        grown.save(path)
        folder = Path(output)
        folder.mkdir(parents=True, exist_ok=True)
        grown.save(folder / LEDGER)
        splits = [row.split for row in grown.rows]
        step.tracker.log_metrics({f"patients_{name}": splits.count(name) for name in sorted(set(splits))})
        step.save_seconds(folder)


def load_ledger(settled: Path) -> Ledger:
    """The splits that `settle_splits` wrote."""
    return Ledger.load(settled / LEDGER)


def validate_scanner_metadata(
    *,
    cohort: str,
    splits: str,
    policy: str,
    cases_per_shard: int,
    output: str,
    html: str,
    log_metric: Callable[[str, float], None],
    metrics: str,
    run: Mapping[str, str],
) -> list[int]:
    """Check the scanners of a data version, leave out what is quarantined and cut the rest into shards.

    Args:
        cohort: output of `fetch_dataset`.
        splits: output of `settle_splits`.
        policy: what fails, quarantines and warns, as YAML; the shipped policy where empty.
        cases_per_shard: most cases of a shard.
        output: receives the metadata table, suites, results and the shards.
        html: receives the report.
        log_metric: takes a name and a count.
        metrics: receives the same figures; a step whose output has no file is not found in the cache.
        run: see `RunContext`.

    Returns:
        The numbers of the shards.

    Raises:
        CohortError: the policy fails this data version, or no case is left.
    """
    from integrations.metadata_validation import validate_metadata

    with open_step("validate scanner metadata", run) as step:
        folder, source = Path(output), open_cohort(Path(cohort))
        folder.mkdir(parents=True, exist_ok=True)
        table = describe_cohort(source, step.run.config, folder / "metadata.csv", on_progress=step.on_progress)
        rules = _write_policy(policy, folder)
        verdict = validate_metadata(
            table,
            ledger=Path(splits) / LEDGER,
            policy=rules,
            output=folder / "validation",
            data_version=step.run.data_version,
        )
        publish(verdict.html, Path(html))
        figures = {
            "cases": float(len(source.cases)),
            "quarantined": float(len(verdict.quarantined)),
            "warnings": float(len(verdict.warnings)),
            "failures": float(len(verdict.failures)),
        }
        for name, value in figures.items():
            log_metric(name, value)
        write_json(Path(metrics), figures)
        step.tracker.log_metrics(figures)
        step.tracker.log_artifacts(folder / "validation", "validation")
        if not verdict.passed:
            raise CohortError(f"the data version fails its policy: {'; '.join(verdict.failures)}")
        left = [case for case in source.cases if case.case not in set(verdict.quarantined)]
        if not left:
            raise CohortError(f"all {len(source.cases)} cases are quarantined; see the validation report")
        shards = count_shards(len(left), cases_per_shard)
        names = [[case.case for case in shard_cases(left, number, shards)] for number in range(shards)]
        write_json(folder / _SHARDS, names)
        step.save_seconds(folder)
        return list(range(shards))


def _write_policy(text: str, folder: Path) -> Path | None:
    if not text:
        return None
    path = folder / "policy.yaml"
    path.write_text(text, "utf-8")
    return path


def load_shard(validated: Path, cohort: Cohort, shard: int) -> tuple[list[Case], int]:
    """The cases of one shard, and how many shards there are."""
    shards: list[list[str]] = read_json(validated / _SHARDS)
    known: dict[str, Any] = {case.case: case for case in cohort.cases}
    return [known[name] for name in shards[shard]], len(shards)
