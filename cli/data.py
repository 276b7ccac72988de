"""`covidctnet data`: hospital series into a versioned cohort, and versions to and from where they are kept."""

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import err, out, print_json, progress_bars, table

app = typer.Typer(help="Versioned, de-identified data: ingest, correct, push, pull, look back.", no_args_is_help=True)

Folder = Annotated[Path, typer.Option("--workspace", "-w", help="Data workspace: holds data/ and data.dvc.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
KeyFile = Annotated[
    Path | None, typer.Option("--keys", help="Key file of the pseudonyms; the user's own if not given.")
]
HERE = Path(".")
REFUSED = 3


@app.callback()
def _quiet() -> None:
    # Readers of DICOM log what they stumble over, and that may be about a patient.
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)


@app.command()
def init(
    workspace: Annotated[Path, typer.Argument(help="Folder to make a data workspace.")] = HERE,
    remote: Annotated[str, typer.Option(help="Folder or s3://bucket/prefix that versions are pushed to.")] = "",
    endpoint: Annotated[str, typer.Option(help="Address of an S3 server that is not Amazon's.")] = "",
) -> None:
    """Make a folder a data workspace, or give it another remote. S3 credentials come from the environment."""
    from integrations.data_workspace import create_workspace

    create_workspace(workspace, remote=remote, endpoint=endpoint)
    out.print("the workspace is ready; add series with `covidctnet data ingest`")


@app.command()
def ingest(
    path: Annotated[Path, typer.Argument(help="Folder or zip; every CT series below it is looked at.")],
    site: Annotated[str, typer.Option(help="Pseudonym of the site that the series come from.")],
    workspace: Folder = HERE,
    label: Annotated[str | None, typer.Option(help="Control, Covid-19 or CAP, for all series.")] = None,
    labels: Annotated[Path | None, typer.Option(help="CSV: label, and path, series, study or patient.")] = None,
    keep_age_and_sex: Annotated[bool, typer.Option(help="Keep age, 90 at most, and sex.")] = False,
    new_word: Annotated[list[str] | None, typer.Option(help="Word of a new scanner's name that was looked at.")] = None,
    policy: Annotated[Path | None, typer.Option(help="Policy of the metadata validation.")] = None,
    keys: KeyFile = None,
    json_output: JsonFlag = False,
) -> None:
    """De-identify, check and pack every series below a path, and add it to the cohort and its versions."""
    from covidctnet.dicom.deidentify import Deidentifier
    from covidctnet.dicom.vocabulary import load_vocabulary
    from covidctnet.label_book import read_labels
    from covidctnet.pseudonyms import load_keys
    from integrations.data_ingest import ingest as run
    from integrations.data_workspace import open_workspace

    place = open_workspace(workspace)
    with progress_bars(quiet=json_output) as report:
        result = run(
            place,
            path,
            site=site,
            labels=read_labels(path, table=labels, label=label),
            keys=load_keys(keys, outside=workspace),
            deidentifier=Deidentifier(
                vocabulary=load_vocabulary().with_words(tuple(new_word or ())), keep_characteristics=keep_age_and_sex
            ),
            policy=policy,
            on_progress=report,
        )
    if json_output:
        print_json(json.dumps(asdict(result), indent=2))
    else:
        out.print(f"{len(result.added)} added, {len(result.there)} already there", highlight=False)
        for word, items in (("refused", result.refused), ("quarantined", result.quarantined)):
            for item in items:
                err.print(f"{word}: {item.place}: {item.reason}", style="yellow", markup=False, highlight=False)
        for note in result.notes:
            err.print(f"note: {note}", markup=False, highlight=False)
        out.print(f"data version {result.version or 'none'}", highlight=False)
    if not result.added and not result.there:
        raise typer.Exit(REFUSED)


@app.command()
def remove(
    patient: Annotated[str, typer.Option(help="Pseudonym of the patient.")],
    workspace: Folder = HERE,
    tracking_uri: Annotated[str, typer.Option(help="MLflow to search for runs that used the data.")] = "",
    bundles: Annotated[list[Path] | None, typer.Option(help="Folder to search for bundles.")] = None,
    json_output: JsonFlag = False,
) -> None:
    """Take a patient out for good, and say which data versions, runs and bundles still hold the patient."""
    from integrations.data_holders import find_holders
    from integrations.data_ingest import remove_patient
    from integrations.data_workspace import open_workspace

    place = open_workspace(workspace)
    removed = remove_patient(place, patient)
    held = find_holders(place, patient, tracking_uri=tracking_uri, bundles=bundles or [])
    if json_output:
        print_json(json.dumps({"removed": removed, "held_by": asdict(held)}, indent=2))
        return
    out.print(f"{removed} cases removed", highlight=False)
    rows: list[tuple[Any, ...]] = [("data version", version) for version in held.versions]
    rows += [("run", run) for run in held.runs or ()] + [("bundle", bundle) for bundle in held.bundles]
    out.print(table("still held by", ("what", "which"), rows))
    if held.runs is None:
        err.print("MLflow was not asked or did not answer: name it with --tracking-uri", style="yellow")


@app.command()
def relabel(
    patient: Annotated[str, typer.Option(help="Pseudonym of the patient.")],
    label: Annotated[str, typer.Option(help="Control, Covid-19 or CAP.")],
    reason: Annotated[str, typer.Option(help="Why, for the record; nothing about the patient's identity.")],
    workspace: Folder = HERE,
) -> None:
    """Correct the label of a patient; the old one stays on record."""
    from integrations.data_ingest import relabel as run
    from integrations.data_workspace import open_workspace

    changed = run(open_workspace(workspace), patient, label, reason)
    out.print(f"{changed} cases are {label} now", highlight=False)


@app.command()
def push(workspace: Folder = HERE, json_output: JsonFlag = False) -> None:
    """Send the data version to the remote; a broken push goes on when run again."""
    from integrations.data_versions import push as run

    with progress_bars(quiet=json_output) as report:
        report("push", 0, 1)
        sent = run(workspace)
        report("push", 1, 1)
    _say(json_output, {"sent": sent}, f"{sent} objects sent; the remote holds the whole version")


@app.command()
def pull(workspace: Folder = HERE, json_output: JsonFlag = False) -> None:
    """Fetch the data version that data.dvc names."""
    from integrations.data_versions import pull as run
    from integrations.data_versions import version_of

    with progress_bars(quiet=json_output) as report:
        report("pull", 0, 1)
        fetched = run(workspace)
        report("pull", 1, 1)
    _say(json_output, {"fetched": fetched, "version": version_of(workspace)}, f"{fetched} objects fetched")


@app.command()
def status(workspace: Folder = HERE, json_output: JsonFlag = False) -> None:
    """Say which version is there, whether data/ differs from it and what the remote lacks."""
    from integrations.data_versions import status as run

    found = run(workspace)
    remote = found.remote_error or f"the remote lacks {found.unpushed} objects"
    state = "data/ differs from it" if found.changed else "data/ is as it says"
    _say(json_output, asdict(found), f"version {found.version or 'none'}; {state}; {remote}")


@app.command()
def history(
    workspace: Folder = HERE,
    compare: Annotated[tuple[str, str] | None, typer.Option(help="Two versions, or the start of each.")] = None,
    json_output: JsonFlag = False,
) -> None:
    """List the data versions with their cases a class, site and scanner, or what changed between two."""
    from integrations.data_history import cases_of, compare_versions, count_cases, read_log
    from integrations.data_workspace import open_workspace

    place = open_workspace(workspace)
    if compare is not None:
        change = compare_versions(place, *compare)
        lines = [*(f"+ {name}" for name in change.added), *(f"- {name}" for name in change.removed)]
        lines += [f"~ {name}: {old} -> {new}" for name, old, new in change.relabelled]
        _say(json_output, asdict(change), "\n".join(lines) or "nothing changed")
        return
    records: list[dict[str, Any]] = [
        {**asdict(record), **count_cases(cases_of(place, record.version))} for record in read_log(place)
    ]
    if json_output:
        print_json(json.dumps(records, indent=2))
        return
    for one in records:
        out.print(f"{one['version']}  {one['time']}  {one['message']}", markup=False, highlight=False, soft_wrap=True)
        for word, name in (("classes", "label"), ("sites", "site"), ("scanners", "scanner")):
            counts = ", ".join(f"{value} {count}" for value, count in one[name].items())
            out.print(f"  {word}: {counts}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def fetch(
    collection: Annotated[str, typer.Argument(help="lungx, ricord-1a, ricord-1b or lidc-idri.")],
    target: Annotated[Path, typer.Argument(help="Folder that the series go to; ingest them from there.")],
    endpoint: Annotated[str, typer.Option(help="Address of the S3 server; Amazon's if not given.")] = "",
    at_most: Annotated[int | None, typer.Option(help="So many series, the first ones.", min=1)] = None,
    json_output: JsonFlag = False,
) -> None:
    """Download a public chest CT collection from the Imaging Data Commons; run again, it goes on."""
    from integrations.public_collections import ENDPOINT, fetch_collection, find_collection

    found = find_collection(collection)
    size = sum(series.megabytes for series in found.series[:at_most]) / 1000
    err.print(f"{found.terms}; {size:.1f} GB", markup=False, highlight=False, soft_wrap=True)
    with progress_bars(quiet=json_output) as report:
        folders = fetch_collection(found, target, endpoint=endpoint or ENDPOINT, at_most=at_most, on_progress=report)
    _say(json_output, {"series": len(folders), "terms": found.terms}, f"{len(folders)} series are there")


@app.command("rotate-keys")
def rotate_keys(keys: KeyFile = None) -> None:
    """Name new patients with a new key; patients who are in keep their pseudonyms."""
    from covidctnet.pseudonyms import rotate_keys as run

    out.print(f"{run(keys)}; keep a copy of the key file", markup=False, highlight=False)


def _say(json_output: bool, values: dict[str, Any], words: str) -> None:
    if json_output:
        print_json(json.dumps(values, indent=2))
    else:
        out.print(words, markup=False, highlight=False, soft_wrap=True)
