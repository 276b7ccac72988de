"""A cohort: one zip of de-identified DICOM images a case, and `cohort.csv` that describes them."""

import csv
import hashlib
import io
import os
import re
from collections import Counter
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from covidctnet.errors import CohortError
from covidctnet.labels import label_index

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One series of one patient.

    Attributes:
        case: name of the case and of its zip.
        patient: pseudonym; a patient may have several cases.
        site: pseudonym of where it came from.
        label: Control, Covid-19 or CAP.
        scanner: brand and model.
        kernel: reconstruction kernel.
        sha256: hash of the zip.
    """

    case: str
    patient: str
    site: str
    label: str
    scanner: str
    kernel: str
    sha256: str

    def __post_init__(self) -> None:
        label_index(self.label)
        for field in ("case", "patient", "site"):
            if not _NAME.fullmatch(getattr(self, field)):
                raise CohortError(f"{field} must be 1 to 64 letters, digits, - or _, not {getattr(self, field)!r}")
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise CohortError(f"sha256 of {self.case} must be 64 hexadecimal digits, not {self.sha256!r}")


_COLUMNS = tuple(field.name for field in fields(Case))


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """The cases in a folder: `cohort.csv`, `cases/<case>.zip` and, for phantoms, `truth/<case>.npz`.

    Raises:
        CohortError: a case is there twice, one image has two patients, or one patient two labels.
    """

    folder: Path
    cases: tuple[Case, ...]

    def __post_init__(self) -> None:
        _refuse_duplicates("case", [case.case for case in self.cases])
        _refuse_duplicates("image (sha256)", [case.sha256 for case in self.cases])
        labels: dict[str, str] = {}
        for case in self.cases:
            if labels.setdefault(case.patient, case.label) != case.label:
                raise CohortError(f"patient {case.patient} has two labels: {labels[case.patient]} and {case.label}")

    @classmethod
    def load(cls, folder: Path) -> "Cohort":
        """Read `cohort.csv`.

        Raises:
            CohortError: there is no table, or a row is refused.
        """
        path = folder / "cohort.csv"
        if not path.is_file():
            raise CohortError("the folder holds no cohort.csv; make a cohort with `covidctnet cohort`")
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            if tuple(rows.fieldnames or ()) != _COLUMNS:
                raise CohortError(f"cohort.csv must have the columns {', '.join(_COLUMNS)}, not {rows.fieldnames}")
            return cls(folder=folder, cases=tuple(Case(**_complete(row)) for row in rows))

    def save(self) -> None:
        """Write `cohort.csv` at once, rows in the order of their names."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / "cohort.csv.partial"
        partial.write_text(self._to_csv(), "utf-8")
        os.replace(partial, self.folder / "cohort.csv")

    def add(self, case: Case) -> "Cohort":
        """This cohort with one case more; nothing is written."""
        return Cohort(folder=self.folder, cases=(*self.cases, case))

    def path(self, case: str) -> Path:
        """Where a case's zip is."""
        return self.folder / "cases" / f"{case}.zip"

    def truth_path(self, case: str) -> Path:
        """Where a phantom's truth is; real cases have none."""
        return self.folder / "truth" / f"{case}.npz"

    @property
    def version(self) -> str:
        """Hash of the table, and through its hashes of every image: the data version."""
        return hashlib.sha256(self._to_csv().encode()).hexdigest()[:16]

    def verify(self) -> None:
        """Check every zip against its hash.

        Raises:
            CohortError: names the first case that is missing or changed, and how many there are.
        """
        missing = [case.case for case in self.cases if not self.path(case.case).is_file()]
        if missing:
            raise CohortError(f"{len(missing)} of {len(self.cases)} cases have no zip, {missing[0]} first")
        changed = [case.case for case in self.cases if _sha256(self.path(case.case)) != case.sha256]
        if changed:
            raise CohortError(f"{len(changed)} of {len(self.cases)} zips were changed, {changed[0]} first")

    def _to_csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(astuple(case) for case in sorted(self.cases, key=lambda case: case.case))
        return text.getvalue()


def _complete(row: dict[str, str | None]) -> dict[str, str]:
    return {name: row.get(name) or "" for name in _COLUMNS}


def _refuse_duplicates(what: str, values: list[str]) -> None:
    twice = [value for value, count in Counter(values).items() if count > 1]
    if twice:
        raise CohortError(f"{what} {twice[0]} is in the cohort more than once")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
