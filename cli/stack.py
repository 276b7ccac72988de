"""`covidctnet up`, `down`, `status`, `backup` and `restore`: the whole platform on this machine, without containers."""

import json
from pathlib import Path
from typing import Annotated

import typer

from cli.console import out, print_json, table

Folder = Annotated[
    Path, typer.Option(help="Data, logs and credentials. As root, the user postgres must be able to reach it.")
]
STACK = Path("runs/stack")


def up(
    folder: Folder = STACK,
    port: Annotated[int, typer.Option(help="HTTP port of serving; gRPC has the next one.", min=1, max=65534)] = 8080,
) -> None:
    """Start PostgreSQL, SeaweedFS, MLflow and, for a registered champion, the serving pair."""
    from infra.local.control import start

    start(folder, port, lambda name: out.print(f"{name} answers", highlight=False))
    _show(folder)
    out.print(f"clients: set -a; . {folder / 'client.env'}", highlight=False, soft_wrap=True)
    out.print("Research use only. Not a medical device. `covidctnet down` stops.", style="bold")


def down(folder: Folder = STACK) -> None:
    """Stop all of it; its data stay."""
    from infra.local.control import stop

    ended = stop(folder)
    out.print("stopped" + (f"; {ended} processes had to be ended at once" if ended else ""), highlight=False)


def status(
    folder: Folder = STACK,
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what runs, where, and its logs."""
    if json_output:
        from infra.local.control import inspect

        states = [{**vars(state), "log": str(state.log)} for state in inspect(folder)]
        print_json(json.dumps(states, indent=2))
        return
    _show(folder)


def backup(
    target: Annotated[Path, typer.Argument(help="Folder that becomes the backup.")],
    folder: Folder = STACK,
) -> None:
    """Copy registry, artifacts, data versions and promotion log of a running stack."""
    from infra.local.backup import back_up
    from infra.local.control import access_of

    copied = back_up(access_of(folder), target)
    out.print(f"{copied.objects} objects of {copied.buckets} buckets, {copied.bytes / 1e6:.1f} MB", highlight=False)


def restore(
    source: Annotated[Path, typer.Argument(help="Folder that `covidctnet backup` made.")],
    folder: Folder = STACK,
) -> None:
    """Bring a backup into a running stack that holds nothing yet."""
    from infra.local.backup import restore as bring
    from infra.local.control import access_of

    copied = bring(access_of(folder), source)
    out.print(f"{copied.objects} objects of {copied.buckets} buckets are back and checked", highlight=False)


def _show(folder: Path) -> None:
    from infra.local.control import inspect

    states = inspect(folder)
    if not states:
        out.print("nothing was started in this folder; `covidctnet up` does", highlight=False)
        return
    rows = [(state.name, state.state, state.address, state.log.name) for state in states]
    out.print(table("", ("service", "state", "address", "log"), rows, whole=("address",)))
    out.print(f"logs and data in {folder}", highlight=False, soft_wrap=True)
