"""`covidctnet demo`: the whole method on a phantom cohort."""

from pathlib import Path
from typing import Annotated

import typer

from cli.console import load_libraries, progress_bars
from cli.train import show_summary


def demo(
    output: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("runs/demo"),
    profile: Annotated[str, typer.Option(help="A profile's name, or a YAML file.")] = "demo",
    seed: Annotated[int, typer.Option(help="Source of everything that varies.")] = 0,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Make a phantom cohort, train on it, evaluate on its hold-out and write the report."""
    load_libraries()
    from covidctnet.config import load_profile
    from covidctnet.experiment import run_demo

    config = load_profile(profile, seed=seed)
    with progress_bars(quiet=json_output) as report:
        summary = run_demo(config, output, on_progress=report)
    show_summary(summary, output, json_output=json_output)
