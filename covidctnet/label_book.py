"""Labels of incoming series: one for all, or a table that names patients, studies, series or paths."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from covidctnet.discovery import FoundSeries
from covidctnet.errors import CohortError
from covidctnet.labels import label_index

_KEYS = ("path", "series", "study", "patient")
"""In the order in which they are asked for: the narrowest first."""


@dataclass(frozen=True, kw_only=True)
class LabelBook:
    """Where the label of a series, and its patient where the header does not tell, comes from.

    Attributes:
        root: what `path` in the table is relative to.
        single: the label of everything; empty where `tables` tell.
        tables: of each key column, value to (label, patient).
    """

    root: Path
    single: str = ""
    tables: Mapping[str, Mapping[str, tuple[str, str]]]

    def look_up(self, series: FoundSeries) -> tuple[str, str]:
        """Label and PatientID of a series.

        Raises:
            CohortError: no row names the series.
        """
        if self.single:
            return self.single, series.patient_id
        for key in _KEYS:
            for value in self._values(key, series):
                if value in self.tables.get(key, {}):
                    label, patient = self.tables[key][value]
                    return label, patient or series.patient_id
        raise CohortError("no row of the label table names it; add one by path, series, study or patient")

    def _values(self, key: str, series: FoundSeries) -> list[str]:
        if key == "patient":
            return [series.patient_id]
        if key == "study":
            return [series.study_uid]
        if key == "series":
            return [series.series_uid]
        base = self.root if self.root.is_dir() else self.root.parent
        places = {file.path.relative_to(base) for file in series.files}
        shared = [set(map(str, (place, *place.parents))) for place in places]
        common = set.intersection(*shared) if shared else set()
        return sorted(common, key=len, reverse=True)


def read_labels(root: Path, *, table: Path | None, label: str | None) -> LabelBook:
    """One label for all, or a CSV table with `label`, at least one of path, series, study and patient.

    A row's first filled column of path, series, study and patient is what it is looked up by; a patient
    beside another key takes the place of the header's PatientID.

    Raises:
        CohortError: both or none are given, a column is missing, or a label is unknown or given twice.
    """
    if (table is None) == (label is None):
        raise CohortError("give either one label for all series or a table of labels")
    if label is not None:
        label_index(label)
        return LabelBook(root=root, single=label, tables={})
    assert table is not None
    if not table.is_file():
        raise CohortError("there is no such table of labels; check the path")
    tables: dict[str, dict[str, tuple[str, str]]] = {key: {} for key in _KEYS}
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        columns = [name.strip().lower() for name in rows.fieldnames or ()]
        if "label" not in columns or not set(columns) & set(_KEYS):
            raise CohortError(f"the table of labels needs a column label and one of {', '.join(_KEYS)}")
        rows.fieldnames = columns
        for number, row in enumerate(rows, start=2):
            _enter(tables, row, number)
    return LabelBook(root=root, tables=tables)


def _enter(tables: dict[str, dict[str, tuple[str, str]]], row: Mapping[str, str | None], number: int) -> None:
    label = (row.get("label") or "").strip()
    try:
        label_index(label)
    except CohortError as error:
        # The value may be anything that stood in the hospital's table.
        raise CohortError(f"line {number} of the table of labels holds no label that is known") from error
    key = next((name for name in _KEYS if (row.get(name) or "").strip()), None)
    if key is None:
        raise CohortError(f"line {number} of the table of labels names nothing")
    value = (row.get(key) or "").strip()
    if key == "path":
        value = str(Path(value))
    entry = label, "" if key == "patient" else (row.get("patient") or "").strip()
    if tables[key].setdefault(value, entry) != entry:
        raise CohortError(f"line {number} of the table of labels contradicts an earlier line")
