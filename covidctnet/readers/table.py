"""`readers.csv`: what each reader answered for each case, one row an answer."""

import csv
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from covidctnet.errors import CohortError
from covidctnet.labels import LABELS, label_index

COLUMNS = ("case", "reader", "answer", "simulated")
_OPTIONAL = "simulated"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_YES_NO = {"": False, "no": False, "yes": True}


@dataclass(frozen=True, kw_only=True)
class ReaderTable:
    """The answers of all readers for the same cases.

    Attributes:
        cases: names, sorted.
        readers: pseudonyms, sorted.
        answers: class indices, shape (readers, cases).
        simulated: whether a program made the answers; one simulated answer makes the whole table so.
    """

    cases: tuple[str, ...]
    readers: tuple[str, ...]
    answers: NDArray[np.int64]
    simulated: bool

    def select(self, cases: Sequence[str]) -> NDArray[np.int64]:
        """Answers for some cases in their order, shape (readers, cases)."""
        places = [self.cases.index(case) for case in cases]
        return self.answers[:, places]


def load_readers(path: Path) -> ReaderTable:
    """Read `readers.csv` with the columns case, reader, answer and, where answers are simulated, simulated.

    Raises:
        CohortError: the file is missing, has other columns, names a reader by more than a pseudonym, holds an
            answer twice, an answer that is no class, or lacks an answer.
    """
    if not path.is_file():
        raise CohortError(f"there is no {path.name}; give a CSV with the columns {', '.join(COLUMNS[:3])}")
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        found = tuple(rows.fieldnames or ())
        if set(found) | {_OPTIONAL} != set(COLUMNS) or len(found) != len(set(found)):
            raise CohortError(
                f"{path.name} needs the columns {', '.join(COLUMNS[:3])}, may have {_OPTIONAL}; a header names them"
            )
        return _assemble([_complete(row) for row in rows], path.name)


def save_readers(table: ReaderTable, path: Path) -> None:
    """Write a table as `load_readers` reads it, at once."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for reader, answers in zip(table.readers, table.answers, strict=True):
            for case, answer in zip(table.cases, answers, strict=True):
                writer.writerow((case, reader, LABELS[answer], "yes" if table.simulated else "no"))
    os.replace(partial, path)


def _complete(row: dict[str, str | None]) -> dict[str, str]:
    return {name: (row.get(name) or "").strip() for name in COLUMNS}


def _assemble(rows: Iterable[dict[str, str]], name: str) -> ReaderTable:
    answers: dict[tuple[str, str], int] = {}
    simulated = False
    for number, row in enumerate(rows, start=2):
        where = f"{name}, line {number}"
        for field in ("case", "reader"):
            if not _NAME.fullmatch(row[field]):
                raise CohortError(f"{where}: a {field} is a pseudonym of 1 to 64 letters, digits, - or _; no names")
        if row[_OPTIONAL].lower() not in _YES_NO:
            raise CohortError(f"{where}: {_OPTIONAL} is yes, no or empty")
        simulated |= _YES_NO[row[_OPTIONAL].lower()]
        key = row["reader"], row["case"]
        if key in answers:
            raise CohortError(f"{where}: {row['reader']} answered {row['case']} twice; keep one answer")
        # A message never repeats a cell: where columns are mixed up, it may hold a name.
        if row["answer"] not in LABELS:
            raise CohortError(f"{where}: an answer is one of {', '.join(LABELS)}")
        answers[key] = label_index(row["answer"])
    if not answers:
        raise CohortError(f"{name} holds no answer")
    readers, cases = (tuple(sorted({key[part] for key in answers})) for part in (0, 1))
    missing = len(readers) * len(cases) - len(answers)
    if missing:
        raise CohortError(
            f"{name} lacks {missing} of {len(readers) * len(cases)} answers; paired tests need every reader's answer "
            "for every case, so ask again or leave those cases out for all"
        )
    table = np.array([[answers[reader, case] for case in cases] for reader in readers], np.int64)
    return ReaderTable(cases=cases, readers=readers, answers=table, simulated=simulated)
