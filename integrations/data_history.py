"""The log of data versions: append-only, in files, readable without git and without the data."""

import csv
import io
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from covidctnet.cohort import Case, Cohort
from covidctnet.errors import DataStoreError
from integrations.data_workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class VersionRecord:
    """One line of the log.

    Attributes:
        version: DVC md5 of the data.
        time: when it was made, UTC.
        message: why.
        cohort_version: hash of the cohort's table.
    """

    version: str
    time: str
    message: str
    cohort_version: str


@dataclass(frozen=True, kw_only=True)
class Change:
    """What one version has that another has not; names of cases, sorted."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    relabelled: tuple[tuple[str, str, str], ...]


_COLUMNS = tuple(field.name for field in fields(VersionRecord))


def record_version(workspace: Workspace, version: str, cohort: Cohort, message: str) -> None:
    """Add a version to the log, unless it is the last one there."""
    records = read_log(workspace)
    if records and records[-1].version == version:
        return
    workspace.versions.mkdir(exist_ok=True)
    table = _table_path(workspace, version)
    partial = table.with_name(table.name + ".partial")
    shutil.copyfile(cohort.folder / "cohort.csv", partial)
    os.replace(partial, table)
    record = VersionRecord(
        version=version,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        message=" ".join(message.split()),
        cohort_version=cohort.version,
    )
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(one) for one in (*records, record))
    log = workspace.versions / "log.csv"
    partial = log.with_name(log.name + ".partial")
    partial.write_text(text.getvalue(), "utf-8")
    os.replace(partial, log)


def read_log(workspace: Workspace) -> list[VersionRecord]:
    """All versions, oldest first."""
    path = workspace.versions / "log.csv"
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if tuple(rows.fieldnames or ()) != _COLUMNS:
            raise DataStoreError(f"versions/log.csv must have the columns {', '.join(_COLUMNS)}")
        return [VersionRecord(**{name: row[name] or "" for name in _COLUMNS}) for row in rows]


def cases_of(workspace: Workspace, version: str) -> tuple[Case, ...]:
    """The cohort's table of a version.

    Raises:
        DataStoreError: the version is not in the log.
    """
    table = _table_path(workspace, version)
    if not table.is_file():
        raise DataStoreError(f"there is no version {version} in the log; see `covidctnet data history`")
    with table.open(newline="", encoding="utf-8") as file:
        return tuple(Case(**{name: value or "" for name, value in row.items()}) for row in csv.DictReader(file))


def find_version(workspace: Workspace, start: str) -> str:
    """The version whose md5 starts so.

    Raises:
        DataStoreError: none does, or more than one.
    """
    found = sorted({record.version for record in read_log(workspace) if record.version.startswith(start)})
    if len(found) != 1:
        raise DataStoreError(f"{len(found)} versions start with {start!r}; see `covidctnet data history`")
    return found[0]


def count_cases(cases: Sequence[Case]) -> dict[str, dict[str, int]]:
    """How many cases there are a class, site and scanner."""
    return {
        name: dict(sorted(Counter(getattr(case, name) for case in cases).items()))
        for name in ("label", "site", "scanner")
    }


def compare(before: Sequence[Case], after: Sequence[Case]) -> Change:
    """What changed between two versions."""
    old, new = ({case.case: case for case in cases} for cases in (before, after))
    return Change(
        added=tuple(sorted(set(new) - set(old))),
        removed=tuple(sorted(set(old) - set(new))),
        relabelled=tuple(
            (name, old[name].label, new[name].label)
            for name in sorted(set(old) & set(new))
            if old[name].label != new[name].label
        ),
    )


def compare_versions(workspace: Workspace, before: str, after: str) -> Change:
    """What changed between two versions of the log, each named by the start of its md5.

    Raises:
        DataStoreError: there is no such version, or more than one.
    """
    return compare(*(cases_of(workspace, find_version(workspace, start)) for start in (before, after)))


def _table_path(workspace: Workspace, version: str) -> Path:
    return workspace.versions / f"{version.removesuffix('.dir')}.csv"
