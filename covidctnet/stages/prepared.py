"""What preprocessing leaves of a case: one row a case in `cases.json`, arrays beside it on disk."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from covidctnet.cohort import Case
from covidctnet.errors import CohortError
from covidctnet.files import read_json, write_json
from covidctnet.labels import label_index
from covidctnet.splits import SPLITS
from covidctnet.volume import BoolArray, Scanner

_TABLE = "cases.json"


@dataclass(frozen=True, kw_only=True)
class PreparedCase:
    """A case after preprocessing.

    Attributes:
        case: row of the cohort.
        split: of its patient.
        scanner: as the reader saw it.
        spacing_mm: along (z, y, x), before resampling.
        shape: voxels along (z, y, x), before resampling.
        mean_lung_hu: of the aerated lung.
        phantom: whether its truth is known.
        healthy_lung: sum and count of intensities, 0 to 1, in lung outside infections; zeros where unknown.
    """

    case: Case
    split: str
    scanner: Scanner
    spacing_mm: tuple[float, float, float]
    shape: tuple[int, int, int]
    mean_lung_hu: float
    phantom: bool
    healthy_lung: tuple[float, int]

    @property
    def label(self) -> int:
        """Class index."""
        return label_index(self.case.label)


@dataclass(frozen=True, kw_only=True)
class PreparedCohort:
    """All prepared cases of a run, in the order of their names, whatever the shards were.

    Attributes:
        cases: their rows.
        folders: by case, the folder of its shard's records.
    """

    cases: tuple[PreparedCase, ...]
    folders: dict[str, Path]

    @classmethod
    def load(cls, folders: Iterable[Path]) -> "PreparedCohort":
        """Read the records of every shard.

        Raises:
            CohortError: a case is in two shards, or there is none.
        """
        found: dict[str, PreparedCase] = {}
        where: dict[str, Path] = {}
        for folder in folders:
            for row in read_json(folder / _TABLE):
                case = _parse(row)
                if case.case.case in found:
                    raise CohortError(f"case {case.case.case} was prepared in two shards; run preprocessing again")
                found[case.case.case], where[case.case.case] = case, folder
        if not found:
            raise CohortError("no case was prepared; the cohort is empty")
        return cls(cases=tuple(found[name] for name in sorted(found)), folders=where)

    def of(self, split: str) -> list[PreparedCase]:
        """The cases of one split."""
        return [case for case in self.cases if case.split == split]

    @property
    def splits(self) -> dict[str, list[PreparedCase]]:
        """The cases by split."""
        return {name: self.of(name) for name in SPLITS}

    def truth(self, case: PreparedCase) -> dict[str, BoolArray] | None:
        """A held-out phantom's `lung` and `infection` on the grid of the slices; None where unknown."""
        path = self.folders[case.case.case] / f"{case.case.case}.truth.npz"
        if not path.is_file():
            return None
        with np.load(path) as file:
            return {name: file[name] for name in file.files}


def save_records(folder: Path, cases: Sequence[PreparedCase]) -> None:
    """Write the rows of one shard."""
    write_json(folder / _TABLE, [asdict(case) for case in cases])


def _parse(row: dict[str, Any]) -> PreparedCase:
    return PreparedCase(
        **{
            **row,
            "case": Case(**row["case"]),
            "scanner": Scanner(**row["scanner"]),
            **{name: tuple(row[name]) for name in ("spacing_mm", "shape", "healthy_lung")},
        }
    )
