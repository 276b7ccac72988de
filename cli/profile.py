"""`covidctnet profile`: look at the configurations that come with the product."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from cli.console import load_libraries, out, print_json, table

app = typer.Typer(help="Look at configurations.", no_args_is_help=True)


@app.command("list")
def list_profiles() -> None:
    """List the profiles by name."""
    from covidctnet.config import profile_names

    for name in profile_names():
        out.print(name)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="A profile's name, or a YAML file.")] = "paper",
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the whole configuration and how many parameters each network has."""
    load_libraries()
    from covidctnet.config import load_profile
    from covidctnet.networks import build_classifier, build_denoiser

    config = load_profile(name)
    parameters = {
        "denoiser": build_denoiser(config.denoiser, config.preprocess.slice_size).count_params(),
        "classifier": build_classifier(config.classifier, config.residual.shape).count_params(),
    }
    if json_output:
        print_json(json.dumps({**asdict(config), "digest": config.digest, "parameters": parameters}, indent=2))
        return
    rows = [
        (f"{stage}.{field}", value)
        for stage, values in asdict(config).items()
        if isinstance(values, dict)
        for field, value in values.items()
    ]
    out.print(table(f"profile {config.name}, digest {config.digest}", ("field", "value"), rows))
    out.print(table("", ("network", "parameters"), [(key, f"{value:,}") for key, value in parameters.items()]))
