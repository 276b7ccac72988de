"""Splits by patient, kept in a ledger to which rows are only ever added.

A patient once in a split stays there when the cohort grows: otherwise a model in production would meet
its own training patients in the next hold-out. Controls that train the denoiser are in no other split:
a memorised Control has an unrealistically small residual.
"""

import csv
import hashlib
import io
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from covidctnet.cohort import Cohort
from covidctnet.config import SplitConfig
from covidctnet.errors import CohortError
from covidctnet.labels import CONTROL, LABELS

SPLITS = ("denoiser", "train", "validation", "holdout")


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """One row of the ledger: a patient's split, with what it was stratified by at that time."""

    patient: str
    split: str
    label: str
    scanner: str
    seed: str

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise CohortError(f"there is no split {self.split!r}; use one of {', '.join(SPLITS)}")
        if self.split == "denoiser" and self.label != LABELS[CONTROL]:
            raise CohortError(f"patient {self.patient} trains the denoiser but is {self.label}, not Control")


_COLUMNS = tuple(field.name for field in fields(Assignment))


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """Assignments in the order in which they were made.

    Raises:
        CohortError: a patient has two rows.
    """

    rows: tuple[Assignment, ...] = ()

    def __post_init__(self) -> None:
        twice = [patient for patient, count in Counter(row.patient for row in self.rows).items() if count > 1]
        if twice:
            raise CohortError(f"patient {twice[0]} is in the ledger more than once")

    @classmethod
    def load(cls, path: Path) -> "Ledger":
        """Read a ledger; a file that is not there is an empty one."""
        if not path.is_file():
            return cls()
        with path.open(newline="", encoding="utf-8") as file:
            table = csv.DictReader(file)
            if tuple(table.fieldnames or ()) != _COLUMNS:
                raise CohortError(f"a ledger must have the columns {', '.join(_COLUMNS)}, not {table.fieldnames}")
            return cls(rows=tuple(Assignment(**{name: row[name] or "" for name in _COLUMNS}) for row in table))

    def save(self, path: Path) -> None:
        """Write the ledger at once.

        Raises:
            CohortError: a row on disk would be changed or lost.
        """
        known = Ledger.load(path).rows
        if self.rows[: len(known)] != known:
            raise CohortError("the ledger on disk holds rows that would be changed or lost; rows are only added")
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(astuple(row) for row in self.rows)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        partial.write_text(text.getvalue(), "utf-8")
        os.replace(partial, path)

    def splits(self) -> "SplitOf":
        """The split of every patient, by pseudonym; asking for one who has none says so."""
        return SplitOf({row.patient: row.split for row in self.rows})


class SplitOf(dict[str, str]):
    """Splits by patient.

    Raises:
        CohortError: a patient was never assigned.
    """

    def __missing__(self, patient: str) -> str:
        raise CohortError(f"patient {patient} is in no split; assign the splits of this cohort first")


def assign_splits(cohort: Cohort, config: SplitConfig, seed: int, ledger: Ledger) -> Ledger:
    """Give every patient who has none a split.

    Patients are dealt one by one to the split that lacks most against its share, counted within the label
    and, between equals, within the label's scanner. `validation` and `holdout` are shares of the patients
    who do not train the denoiser. A patient whose label was corrected since stays in the split.

    Args:
        cohort: its patients.
        config: shares.
        seed: order within a label and scanner.
        ledger: earlier assignments, which stay.

    Returns:
        The ledger with the new rows at its end.

    Raises:
        CohortError: a patient who trains the denoiser is no Control any more, or a class is too small for its
            splits.
    """
    if config.validation + config.holdout >= 1.0:
        raise CohortError(f"validation {config.validation} and holdout {config.holdout} leave nobody to train on")
    strata = _strata(cohort)
    known = {row.patient: row for row in ledger.rows}
    for patient, (label, _) in strata.items():
        if patient in known and known[patient].split == "denoiser" and label != LABELS[CONTROL]:
            raise CohortError(
                f"patient {patient} trains the denoiser and is {label} now, not Control; take the patient out with "
                f"`covidctnet data remove --patient {patient}`"
            )
    added: list[Assignment] = []
    for label in LABELS:
        fresh = [patient for patient in strata if strata[patient][0] == label and patient not in known]
        fresh.sort(key=lambda patient: (strata[patient][1], _key(seed, patient)))
        earlier = [row for row in (*ledger.rows, *added) if _label(row, strata) == label]
        total = len(fresh) + len(earlier)
        shares = _shares(config, label, total)
        for patient, split in _deal(fresh, {patient: strata[patient][1] for patient in fresh}, shares, earlier):
            scanner = strata[patient][1]
            added.append(Assignment(patient=patient, split=split, label=label, scanner=scanner, seed=str(seed)))
    grown = Ledger(rows=(*ledger.rows, *added))
    _require_every_class(grown, strata)
    return grown


def _strata(cohort: Cohort) -> dict[str, tuple[str, str]]:
    # A patient with several cases is stratified by the scanner of the first.
    ordered = sorted(cohort.cases, key=lambda case: case.case, reverse=True)
    return {case.patient: (case.label, case.scanner) for case in ordered}


def _label(row: Assignment, strata: Mapping[str, tuple[str, str]]) -> str:
    """The label that the cohort gives a patient now; that of the ledger where the cohort has the patient no more."""
    return strata[row.patient][0] if row.patient in strata else row.label


def _key(seed: int, patient: str) -> str:
    return hashlib.sha256(f"{seed}/{patient}".encode()).hexdigest()


def _shares(config: SplitConfig, label: str, patients: int) -> dict[str, float]:
    denoiser = config.denoiser if label == LABELS[CONTROL] else 0.0
    rest = 1.0 - denoiser
    # A share too small for a whole patient still gets one: no metric exists without it.
    smallest = 1.0 / (rest * patients) if rest * patients >= len(SPLITS) - 1 else 0.0
    holdout, validation = max(config.holdout, smallest), max(config.validation, smallest)
    return {
        "denoiser": denoiser,
        "holdout": rest * holdout,
        "validation": rest * validation,
        "train": rest * (1.0 - holdout - validation),
    }


def _deal(
    patients: Sequence[str],
    scanners: Mapping[str, str],
    shares: Mapping[str, float],
    earlier: Iterable[Assignment],
) -> list[tuple[str, str]]:
    label_counts: Counter[str] = Counter()
    scanner_counts: Counter[tuple[str, str]] = Counter()
    for row in earlier:
        label_counts[row.split] += 1
        scanner_counts[row.scanner, row.split] += 1
    dealt = []
    for patient in patients:
        scanner = scanners[patient]
        in_label = label_counts.total() + 1
        in_scanner = sum(scanner_counts[scanner, split] for split in SPLITS) + 1

        def lack(split: str, scanner: str = scanner, total: int = in_label, part: int = in_scanner) -> float:
            within_label = shares[split] * total - label_counts[split]
            within_scanner = shares[split] * part - scanner_counts[scanner, split]
            return within_label + within_scanner

        wanted = [split for split in shares if shares[split] > 0.0]
        split = max(wanted, key=lambda name: (round(lack(name), 9), -wanted.index(name)))
        label_counts[split] += 1
        scanner_counts[scanner, split] += 1
        dealt.append((patient, split))
    return dealt


def _require_every_class(ledger: Ledger, strata: Mapping[str, tuple[str, str]]) -> None:
    present = [row for row in ledger.rows if row.patient in strata]
    for label in LABELS:
        for split in ("train", "validation", "holdout"):
            if not any(_label(row, strata) == label and row.split == split for row in present):
                count = sum(_label(row, strata) == label for row in present)
                raise CohortError(
                    f"no {label} patient is in {split}: {count} are too few for these shares; add patients or raise "
                    f"splits.{split if split != 'train' else 'validation'}"
                )
