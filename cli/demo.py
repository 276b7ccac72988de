"""`covidctnet demo`: the whole pipeline on a phantom cohort."""

from pathlib import Path
from typing import Annotated

import typer

from cli.console import err, progress_bars
from cli.train import JsonFlag, TrackingUri, run_and_show

_COMMITTED = ("demo", 0)
"""Profile and seed of the cohort that the checkout's `data.dvc` names."""


def demo(
    output: Annotated[Path, typer.Option(help="Workspace, where everything goes.")] = Path("runs/demo"),
    profile: Annotated[str, typer.Option(help="A profile's name, or a YAML file.")] = "demo",
    seed: Annotated[int, typer.Option(help="Source of everything that varies.")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start anew, without what an earlier run finished.")] = False,
    tracking_uri: TrackingUri = "",
    json_output: JsonFlag = False,
) -> None:
    """Make a phantom cohort, version it, train on it, evaluate, register and write the report."""
    from covidctnet.config import load_profile
    from pipelines.workspaces import forget_runs, make_demo_data

    config = load_profile(profile, seed=seed)
    if fresh:
        forget_runs(output)
    with progress_bars(quiet=json_output) as report:
        version = make_demo_data(output, config, on_progress=report)
    verdict = compare_with_checkout(version, config.name, seed)
    if not json_output:
        err.print(verdict, highlight=False)
    run_and_show(output, config, version, gate_policy="demo", tracking_uri=tracking_uri, json_output=json_output)


def compare_with_checkout(version: str, profile: str, seed: int) -> str:
    """Whether the cohort is the one that the checkout names, in words."""
    import covidctnet
    from pipelines.workspaces import committed_version

    if (profile, seed) != _COMMITTED:
        return f"data version {version}; data.dvc names the cohort of profile {_COMMITTED[0]}, seed {_COMMITTED[1]}"
    committed = committed_version(Path(covidctnet.__file__).parents[1])
    if committed is None:
        return f"data version {version}; there is no data.dvc to compare it with"
    if committed == version:
        return f"data version {version}, the one that data.dvc names"
    return f"data version {version} is NOT {committed}, the one that data.dvc names: the generator has changed"
