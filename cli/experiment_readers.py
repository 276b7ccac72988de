"""`covidctnet experiment readers`, `reader-example` and `report`."""

from pathlib import Path
from typing import Annotated

import typer

from cli.console import err, out, progress_bars
from cli.experiment import show_result
from cli.train import JsonFlag, TrackingUri

BundleFolder = Annotated[Path, typer.Option(help="Bundle folder that training wrote.")]
Experiments = Annotated[Path, typer.Option(help="Folder of the experiments' results.")]


def add_commands(app: typer.Typer) -> None:
    """Put these commands into the group `experiment`."""
    app.command("readers")(readers)
    app.command("reader-example")(reader_example)
    app.command("report")(report)


def readers(
    readers: Annotated[Path, typer.Option(help="CSV with the columns case, reader, answer; readers by pseudonym.")],
    cohort: Annotated[
        Path | None, typer.Option(help="Cohort folder that holds the cases; the folder of the CSV if not given.")
    ] = None,
    bundle: BundleFolder = Path("runs/demo/bundle"),
    workspace: Annotated[Path, typer.Option(help="Data, finished steps and MLflow of the study.")] = Path(
        "runs/readers"
    ),
    output: Annotated[Path, typer.Option(help="Folder of the result.")] = Path("runs/experiments/readers"),
    tracking_uri: TrackingUri = "",
    json_output: JsonFlag = False,
) -> None:
    """Compare a bundle with human readers on an independent test set. Research use, not a medical device."""
    from covidctnet.bundle import load_bundle
    from covidctnet.readers.table import load_readers
    from pipelines.experiment_plan import ExperimentPlan
    from pipelines.experiment_run import keep_input, run_experiment
    from pipelines.settings import load_settings
    from pipelines.workspaces import adopt_cohort

    load_readers(readers)
    found = load_bundle(bundle)
    with progress_bars(quiet=json_output) as progress:
        version = adopt_cohort(workspace, cohort or readers.parent)
        result = run_experiment(
            workspace,
            ExperimentPlan(
                name="readers",
                config=found.config,
                bundle=str(bundle.resolve()),
                pair_id=found.pair_id,
                readers=keep_input(workspace, readers),
            ),
            version,
            load_settings("local"),
            output=output,
            tracking_uri=tracking_uri,
            on_progress=progress,
            on_reuse=lambda step: err.print(f"reused: {step}", highlight=False),
        )
    show_result(result, output, json_output=json_output)


def reader_example(
    folder: Annotated[Path, typer.Argument(help="Receives a cohort of 20 phantoms and readers.csv.")],
    profile: Annotated[str, typer.Option(help="Profile whose phantom stage sets the matrix: the bundle's.")] = "demo",
    seed: Annotated[int | None, typer.Option(help="Of phantoms and readers; not the bundle's.")] = None,
) -> None:
    """Write a reader study to try: 20 phantoms and 4 simulated readers. It says nothing about people."""
    from covidctnet.config import load_profile
    from covidctnet.readers.example import SEED, make_reader_example

    config = load_profile(profile)
    with progress_bars(quiet=False) as progress:
        chosen = SEED if seed is None else seed
        cohort = make_reader_example(folder, config.phantom, chosen, on_progress=progress)
    out.print(f"{len(cohort.cases)} phantoms and simulated readers, data version {cohort.version}", highlight=False)


def report(
    experiments: Experiments = Path("runs/experiments"), bundle: BundleFolder = Path("runs/demo/bundle")
) -> None:
    """One report of all experiments that were run: HTML that needs nothing else, and Markdown."""
    from integrations.experiment_report import write_report

    written = write_report(experiments, bundle)
    out.print(f"experiments in it: {', '.join(written.present)}", markup=False, highlight=False)
    if written.missing:
        err.print(f"not run: {', '.join(written.missing)}", style="yellow", markup=False, highlight=False)
    counts = written.claim
    out.print(
        f"CLAIM: {counts['filled']} of 42 items filled, {counts['person']} need a person, {counts['not run']} an "
        "experiment",
        highlight=False,
    )
    for path in (written.html, written.markdown):
        out.print(str(path), markup=False, highlight=False, soft_wrap=True)
