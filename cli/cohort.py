"""`covidctnet cohort`: make a phantom cohort, look at what is there. Real series come in by `covidctnet data`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from cli.console import out, print_json, progress_bars, table

app = typer.Typer(help="Make and look at cohorts.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="Cohort folder: cohort.csv, cases/ and, for phantoms, truth/.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def phantom(
    folder: Folder,
    profile: Annotated[str, typer.Option(help="Profile whose phantom stage sets size and matrix.")] = "demo",
    seed: Annotated[int, typer.Option(help="Source of everything that varies.")] = 0,
) -> None:
    """Write a phantom cohort: DICOM series of several scanners, with the truth beside."""
    from covidctnet.config import load_profile
    from covidctnet.phantom.cohort import make_phantom_cohort

    config = load_profile(profile, seed=seed)
    with progress_bars(quiet=False) as report:
        cohort = make_phantom_cohort(folder, config.phantom, config.seed, on_progress=report)
    out.print(f"{len(cohort.cases)} cases, data version {cohort.version}")


@app.command()
def show(folder: Folder, json_output: JsonFlag = False) -> None:
    """Count the cases by class and scanner, and check every file against its hash."""
    from covidctnet.cohort import Cohort
    from covidctnet.labels import LABELS

    cohort = Cohort.load(folder)
    cohort.verify()
    scanners = sorted({case.scanner for case in cohort.cases})
    counts = {
        scanner: {name: sum(c.label == name and c.scanner == scanner for c in cohort.cases) for name in LABELS}
        for scanner in scanners
    }
    if json_output:
        print_json(json.dumps({"version": cohort.version, "cases": len(cohort.cases), "scanners": counts}, indent=2))
        return
    rows = [(scanner, *counts[scanner].values()) for scanner in scanners]
    out.print(table(f"{len(cohort.cases)} cases, version {cohort.version}", ("scanner", *LABELS), rows))
