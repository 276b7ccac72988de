"""`covidctnet train`: a cohort in; a bundle, its hold-out metrics and a report out."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import load_libraries, out, print_json, progress_bars, table


def train(
    cohort: Annotated[Path, typer.Argument(help="Cohort folder.")],
    output: Annotated[Path, typer.Option(help="Where bundle, report, figures and summary go.")],
    profile: Annotated[str, typer.Option(help="A profile's name, or a YAML file.")] = "paper",
    seed: Annotated[int | None, typer.Option(help="Overrides the profile's seed.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Overrides both networks' epochs.", min=1)] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Train both networks on a cohort and evaluate them on its hold-out."""
    load_libraries()
    from covidctnet.cohort import Cohort
    from covidctnet.config import load_profile
    from covidctnet.experiment import run_experiment

    config = load_profile(profile, seed=seed, epochs=epochs)
    with progress_bars(quiet=json_output) as report:
        summary = run_experiment(Cohort.load(cohort), config, output, on_progress=report)
    show_summary(summary, output, json_output=json_output)


def show_summary(summary: dict[str, Any], output: Path, *, json_output: bool) -> None:
    """Print what an experiment found."""
    if json_output:
        print_json(json.dumps(summary, indent=2))
        return
    rows = [(row["what"], row["value"], row["interval"]) for row in summary["table"]]
    title = f"hold-out of {summary['holdout_patients']} patients, profile {summary['profile']}, seed {summary['seed']}"
    out.print(table(title, ("", "value", "95 % interval"), rows))
    seconds = [(name, f"{value:.0f} s") for name, value in summary["seconds"].items()]
    out.print(table("", ("stage", "time"), seconds))
    for note in summary["notes"]:
        out.print(f"note: {note}", style="yellow", markup=False, highlight=False)
    out.print(f"report {output / 'report.html'}, bundle {output / 'bundle'} ({summary['pair_id']})")
    out.print("Research use only. Not a medical device.", style="bold")
