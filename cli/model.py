"""`covidctnet model` and `covidctnet tracking`: look at registered models, fetch one, send records that wait."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import err, out, print_json, table

if TYPE_CHECKING:
    from integrations.tracking_client import TrackingSettings

app = typer.Typer(help="Look at registered models.", no_args_is_help=True)
tracking = typer.Typer(help="Records of pipeline runs in MLflow.", no_args_is_help=True)

Workspace = Annotated[Path, typer.Option(help="Folder of a run, whose mlflow.db is asked where no server is named.")]
Server = Annotated[
    str, typer.Option("--tracking-uri", envvar="MLFLOW_TRACKING_URI", help="MLflow server; credentials: environment.")
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEMO = Path("runs/demo")


@app.command("list")
def list_versions(workspace: Workspace = DEMO, server: Server = "", json_output: JsonFlag = False) -> None:
    """List the versions of the model, the newest first."""
    from integrations.registry import list_models

    models = list_models(registry_settings(workspace, server))
    if json_output:
        print_json(json.dumps([asdict(model) for model in models], indent=2))
        return
    rows = [
        (
            model.version,
            ", ".join(model.aliases) or "-",
            *(model.tags.get(name, "-") for name in ("pair_id", "data_version", "profile", "sites")),
            datetime.fromtimestamp(model.created / 1000, UTC).strftime("%Y-%m-%d %H:%M"),
        )
        for model in models
    ]
    columns = ("version", "aliases", "bundle", "data", "profile", "sites", "UTC")
    out.print(table("registered models", columns, rows, whole=("bundle",)))


@app.command()
def show(
    model: Annotated[str, typer.Argument(help="A version, or @ and an alias: 3, @champion.")],
    workspace: Workspace = DEMO,
    server: Server = "",
    json_output: JsonFlag = False,
) -> None:
    """Show the model card of a version."""
    from integrations.registry import find_model

    settings = registry_settings(workspace, server)
    found = find_model(model_uri(model, settings), settings=settings)
    if json_output:
        print_json(json.dumps(asdict(found), indent=2))
    else:
        out.print(found.card, markup=False, highlight=False)


@app.command()
def fetch(
    model: Annotated[str, typer.Argument(help="A version, or @ and an alias: 3, @champion.")],
    target: Annotated[Path, typer.Argument(help="Folder that becomes the bundle.")],
    workspace: Workspace = DEMO,
    server: Server = "",
) -> None:
    """Bring the bundle of a version to a folder, checked."""
    from covidctnet.bundle import load_bundle
    from integrations.registry import fetch_bundle

    settings = registry_settings(workspace, server)
    fetched = load_bundle(fetch_bundle(model_uri(model, settings), target, settings=settings))
    out.print(f"bundle {fetched.pair_id}", highlight=False)


@tracking.command()
def flush(
    spool: Annotated[Path, typer.Argument(help="Folder that a step named when MLflow was away.")],
    server: Annotated[str, typer.Option("--tracking-uri", help="Send there instead of where it was to go.")] = "",
) -> None:
    """Send the records that a step could not send."""
    from integrations.tracking import flush_spool

    count = flush_spool(spool, uri=server or None)
    out.print(f"{count} steps sent" if count else "nothing waits here")


@tracking.command()
def ui(
    workspace: Workspace = DEMO,
    port: Annotated[int, typer.Option(help="Port on this machine.", min=1, max=65535)] = 5000,
) -> None:
    """Show the runs and models of a workspace in MLflow's pages, until Ctrl-C; nothing is sent to its makers."""
    from integrations.tracking_client import open_embedded, serve_pages

    settings = open_embedded(workspace)
    err.print(f"http://127.0.0.1:{port}", highlight=False)
    serve_pages(settings, port)


def registry_settings(workspace: Path, server: str) -> "TrackingSettings":
    """Where the registered models are: the named server, else the workspace's own file."""
    from integrations.tracking_client import TrackingSettings, open_embedded

    return TrackingSettings(server) if server else open_embedded(workspace)


def model_uri(model: str, settings: "TrackingSettings") -> str:
    """A version, an alias or a whole address as `models:/NAME/VERSION` or `models:/NAME@ALIAS`."""
    if model.startswith("models:"):
        return model
    return f"models:/{settings.model}{model}" if model.startswith("@") else f"models:/{settings.model}/{model}"


@app.command()
def sign(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder, with its metrics.")],
    key: Annotated[Path, typer.Option(envvar="COVIDCTNET_SIGNING_KEY", help="Private key; `model key` makes one.")],
) -> None:
    """Sign a bundle, for servers that trust the matching public key alone (COVIDCTNET_TRUSTED_KEY)."""
    from covidctnet.bundle import load_bundle
    from covidctnet.bundle_signature import sign_bundle

    sign_bundle(bundle, key)
    out.print(f"signed {load_bundle(bundle).pair_id}", highlight=False)
