"""One experiment: a cohort in; a bundle, its hold-out metrics and a report out.

Straight-line code, one call an arrow of the data flow:
cohort -> splits -> preprocess -> train denoiser -> extract residuals -> train classifier -> bundle -> evaluate
-> report
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from covidctnet.cohort import Cohort
from covidctnet.config import Config
from covidctnet.machine import code_version
from covidctnet.phantom.cohort import make_phantom_cohort
from covidctnet.progress import Progress, silent
from covidctnet.splits import SPLITS, Ledger, assign_splits
from covidctnet.stages.evaluate_holdout import evaluate_holdout, mean_healthy_lung
from covidctnet.stages.preprocess_cohort import PreparedCase, preprocess_cohort
from covidctnet.stages.write_results import write_results


@dataclass(kw_only=True)
class Stopwatch:
    """Seconds by stage, in the order in which the stages ran."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Add the time of a block to a stage."""
        start = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


def run_experiment(
    cohort: Cohort,
    config: Config,
    output: Path,
    *,
    on_progress: Progress = silent,
    stopwatch: Stopwatch | None = None,
    notes: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Train on a cohort, evaluate on its hold-out and write the report.

    A run that was interrupted goes on when it is started again with the same cohort, configuration, code and
    output; with others it starts anew.

    Args:
        cohort: verified before anything else happens.
        config: all stages.
        output: receives `splits.csv`, `bundle/`, `summary.json`, `report.html` and `figures/`; `work/` in it
            holds arrays, checkpoints and losses by epoch.
        on_progress: told of finished pieces of each stage.
        stopwatch: carries the times of earlier stages.
        notes: sentences that the report shows at its top.

    Returns:
        The content of `summary.json`.

    Raises:
        CohortError: files and table disagree, a case is refused, or classes are too small to split.
        TrainingError: a loss is not finite.
        TrainingInterruptedError: SIGTERM came while a network was trained.
    """
    from covidctnet.stages import train_networks as train

    watch = stopwatch or Stopwatch()
    output.mkdir(parents=True, exist_ok=True)
    cohort.verify()
    ledger = assign_splits(cohort, config.splits, config.seed, Ledger.load(output / "splits.csv"))
    ledger.save(output / "splits.csv")
    versions = cohort.version, code_version()
    workshop = train.Workshop(folder=output / "work", config=config, versions=versions, on_progress=on_progress)
    # What an interrupted run left half done; its checkpoints and arrays are used again.
    shutil.rmtree(workshop.networks, ignore_errors=True)
    with watch.time("preprocess"):
        prepared = preprocess_cohort(
            cohort, config, workshop.folder / "arrays", version=versions[1], on_progress=on_progress
        )
    splits = split_cases(prepared, ledger)
    with watch.time("train denoiser"):
        histories = train.train_and_save_denoiser(splits, workshop)
    with watch.time("extract residuals"):
        residuals = train.extract_split(splits, ("train", "validation"), workshop)
    with watch.time("train classifier"):
        histories["classifier"] = train.train_and_export_classifier(
            residuals["train"], residuals["validation"], workshop
        )
        calibration = train.calibrate(residuals["validation"], workshop)
    bundle = train.assemble_bundle(
        output / "bundle", train=residuals["train"], splits=splits, calibration=calibration, workshop=workshop
    )
    with watch.time("evaluate"):
        result = evaluate_holdout(
            bundle.folder,
            cohort,
            splits["holdout"],
            config,
            mean_lung=mean_healthy_lung(splits["train"]),
            on_progress=on_progress,
        )
    return write_results(output, bundle, splits, result, histories, watch.seconds, notes)


def run_demo(config: Config, output: Path, *, on_progress: Progress = silent) -> dict[str, Any]:
    """Make a phantom cohort and run an experiment on it, all anew; returns the content of `summary.json`."""
    shutil.rmtree(output / "work", ignore_errors=True)
    watch = Stopwatch()
    with watch.time("make phantoms"):
        cohort = make_phantom_cohort(output / "cohort", config.phantom, config.seed, on_progress=on_progress)
    (output / "splits.csv").unlink(missing_ok=True)
    return run_experiment(cohort, config, output, on_progress=on_progress, stopwatch=watch)


def split_cases(prepared: list[PreparedCase], ledger: Ledger) -> dict[str, list[PreparedCase]]:
    """Prepared cases by the split of their patient."""
    found: dict[str, list[PreparedCase]] = {name: [] for name in SPLITS}
    for case in prepared:
        found[ledger.split_of(case.case.patient)].append(case)
    return found
