"""Incoming series into a workspace: staged, validated, joined, versioned; and out of it again."""

import csv
import io
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from covidctnet.cohort import Cohort
from covidctnet.config import ReaderConfig
from covidctnet.dicom.deidentify import Deidentifier
from covidctnet.discovery import find_series
from covidctnet.errors import CohortError
from covidctnet.ingest import Refused, Staged, join, remove_strays, sort_staged, stage_all
from covidctnet.label_book import LabelBook
from covidctnet.labels import label_index
from covidctnet.progress import Progress, silent
from covidctnet.pseudonyms import KeyRing
from covidctnet.scanner_metadata import write_metadata
from integrations.data_versions import add_version
from integrations.data_workspace import Workspace
from integrations.metadata_validation import Verdict, validate_metadata

_RELABELS = ("time", "patient", "old", "new", "reason")
_REMOVED = ("time", "patient")


@dataclass(frozen=True, kw_only=True)
class IngestReport:
    """What became of each series.

    Attributes:
        added, there: names of cases that joined, and that were in the cohort already.
        refused: series that the reader, the labels or the cohort refuse, with the reason.
        quarantined: series that the policy keeps out, with the reason.
        notes: what a person should look at, in words.
        version: DVC md5 of the data afterwards, empty where there is none.
    """

    added: tuple[str, ...]
    there: tuple[str, ...]
    refused: tuple[Refused, ...]
    quarantined: tuple[Refused, ...]
    notes: tuple[str, ...]
    version: str


def ingest(
    workspace: Workspace,
    source: Path,
    *,
    site: str,
    labels: LabelBook,
    keys: KeyRing,
    deidentifier: Deidentifier,
    reader: ReaderConfig | None = None,
    policy: Path | None = None,
    workers: int | None = None,
    on_progress: Progress = silent,
) -> IngestReport:
    """Add every series below a path to the cohort, and the cohort to the data versions.

    Killed at any moment, it leaves the cohort as it was; run again, it does the rest. Series that are in the
    cohort already, by the content of their images, are left alone.

    Args:
        workspace: whose `data/` grows.
        source: folder or zip.
        site: pseudonym of the site.
        labels: of the series.
        keys: of the pseudonyms.
        deidentifier: what may stay in a header.
        reader: what is accepted.
        policy: of the metadata validation; the shipped one when None.
        workers: processes; all usable cores when None.
        on_progress: told of each finished series.

    Raises:
        NoStudyFoundError: nothing below the path is a CT image.
        PseudonymKeyError: the cohort was made with another key.
        DataStoreError: another command changes this data, or DVC refuses.
    """
    with workspace.locked():
        shutil.rmtree(workspace.staging, ignore_errors=True)
        try:
            cohort = workspace.cohort()
            remove_strays(cohort)
            results = list(
                stage_all(
                    find_series(source, reader or ReaderConfig()),
                    workspace.staging,
                    cohort=cohort,
                    labels=labels,
                    site=site,
                    keys=keys,
                    deidentifier=deidentifier,
                    reader=reader or ReaderConfig(),
                    workers=workers,
                    on_progress=on_progress,
                )
            )
            staged = [item for item in results if isinstance(item, Staged)]
            refused = [item for item in results if isinstance(item, Refused)]
            parts = sort_staged(staged, cohort, removed_patients(workspace))
            kept, quarantined = _validate(parts.new, workspace, policy)
            grown = join(cohort, kept)
            version = _version(workspace, grown, f"ingest of {len(kept)} cases of site {site}")
            on_progress("add to the data versions", 1, 1)
        finally:
            shutil.rmtree(workspace.staging, ignore_errors=True)
    return IngestReport(
        added=tuple(item.case.case for item in kept),
        there=tuple(item.case.case for item in parts.there),
        refused=(*refused, *parts.refused),
        quarantined=tuple(quarantined),
        notes=tuple(f"{item.case.case}: {note}" for item in kept for note in item.notes),
        version=version,
    )


def _validate(
    staged: Sequence[Staged], workspace: Workspace, policy: Path | None
) -> tuple[list[Staged], list[Refused]]:
    """Those that the policy lets in; what it says of the whole cohort is for training to judge."""
    if not staged:
        return [], []
    table = write_metadata(workspace.staging / "metadata.csv", [item.metadata for item in staged])
    verdict: Verdict = validate_metadata(table, ledger=None, policy=policy, output=workspace.staging / "validation")
    held = set(verdict.quarantined)
    kept = [item for item in staged if item.case.case not in held]
    return kept, [
        Refused(place=item.place, reason="; ".join(f"not met: {check}" for check in verdict.reasons[item.case.case]))
        for item in staged
        if item.case.case in held
    ]


def _version(workspace: Workspace, cohort: Cohort, message: str) -> str:
    return add_version(workspace.folder, message) if cohort.cases else ""


def remove_patient(workspace: Workspace, patient: str) -> int:
    """Take a patient out of the cohort for good: later exports that hold the patient are refused.

    Earlier data versions, runs and bundles are not touched; `integrations.data_holders` says which there are.

    Args:
        workspace: whose `data/` shrinks.
        patient: pseudonym.

    Returns:
        How many cases were removed.

    Raises:
        CohortError: the patient is not in the cohort.
    """
    with workspace.locked():
        cohort = workspace.cohort()
        left = tuple(case for case in cohort.cases if case.patient != patient)
        removed = len(cohort.cases) - len(left)
        if not removed:
            raise CohortError(f"there is no patient {patient} in the cohort")
        _append(workspace.data / "removed.csv", _REMOVED, (_now(), patient))
        smaller = replace(cohort, cases=left)
        smaller.save()
        remove_strays(smaller)
        add_version(workspace.folder, f"removal of {removed} cases of one patient")
    return removed


def relabel(workspace: Workspace, patient: str, label: str, reason: str) -> int:
    """Correct the label of all cases of a patient; the old one stays on record in `data/relabels.csv`.

    Returns:
        How many cases have another label now.

    Raises:
        CohortError: the patient is not in the cohort, has this label already, or the label is unknown.
    """
    label_index(label)
    with workspace.locked():
        cohort = workspace.cohort()
        old = {case.label for case in cohort.cases if case.patient == patient}
        if not old:
            raise CohortError(f"there is no patient {patient} in the cohort")
        if old == {label}:
            raise CohortError(f"patient {patient} is {label} already")
        cases = tuple(replace(case, label=label) if case.patient == patient else case for case in cohort.cases)
        changed = sum(case.patient == patient for case in cases)
        _append(
            workspace.data / "relabels.csv", _RELABELS, (_now(), patient, old.pop(), label, " ".join(reason.split()))
        )
        replace(cohort, cases=cases).save()
        add_version(workspace.folder, f"label of {changed} cases of one patient corrected to {label}")
    return changed


def removed_patients(workspace: Workspace) -> frozenset[str]:
    """Patients who were taken out for good."""
    path = workspace.data / "removed.csv"
    if not path.is_file():
        return frozenset()
    with path.open(newline="", encoding="utf-8") as file:
        return frozenset(row["patient"] for row in csv.DictReader(file))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _append(path: Path, columns: Sequence[str], row: Sequence[str]) -> None:
    """Add a row to a record that only grows; written beside and renamed, since DVC may share the file's bytes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if not path.is_file():
        writer.writerow(columns)
    writer.writerow(row)
    before = path.read_text("utf-8") if path.is_file() else ""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(before + text.getvalue(), "utf-8")
    os.replace(partial, path)
