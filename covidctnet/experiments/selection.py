"""Which patients of a cohort an experiment is about, and which Controls train its denoiser."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from covidctnet.cohort import Case, Cohort
from covidctnet.errors import ExperimentError
from covidctnet.experiments.options import ExperimentOptions
from covidctnet.labels import CONTROL, LABELS
from covidctnet.splits import Assignment, Ledger

_WATCHED = 5
"""One of so many Controls gives the slices on which the denoiser's loss is watched; they stop and choose nothing."""


def select_patients(cohort: Cohort, options: ExperimentOptions, seed: int) -> Ledger:
    """Choose the patients of an experiment, spread over the scanners.

    Denoiser Controls are nobody else's: a memorised Control has an unrealistically small residual. All others are in
    `train` or `validation`, for slices and residuals exist of both; an experiment draws its own folds among them.

    Args:
        cohort: all patients.
        options: how many.
        seed: of the order within a class.

    Returns:
        One row a chosen patient.

    Raises:
        ExperimentError: the cohort holds fewer patients of a class.
    """
    by_label: dict[str, dict[str, str]] = {label: {} for label in LABELS}
    for case in sorted(cohort.cases, key=lambda case: case.case):
        by_label[case.label].setdefault(case.patient, case.scanner)
    rows: list[Assignment] = []
    for label in LABELS:
        scanners = by_label[label]
        ordered = _spread(scanners, seed)
        held = options.denoiser_controls if label == LABELS[CONTROL] else 0
        wanted = options.cases or max(len(ordered) - held, 0)
        if len(ordered) < held + wanted:
            raise ExperimentError(
                f"the cohort holds {len(ordered)} {label} patients, not {held + wanted}"
                + (f" ({held} for the denoiser)" if held else "")
                + "; ask for fewer with --cases or --denoiser-controls, or --cases 0 for all"
            )
        for number, patient in enumerate(ordered[: held + wanted]):
            watched = label == LABELS[CONTROL] and (number - held) % _WATCHED == 0
            split = "denoiser" if number < held else "validation" if watched else "train"
            rows.append(
                Assignment(patient=patient, split=split, label=label, scanner=scanners[patient], seed=str(seed))
            )
    return Ledger(rows=tuple(rows))


def _spread(scanners: Mapping[str, str], seed: int) -> list[str]:
    """Patients such that the first so many of them come from all scanners in turn."""
    by_scanner: dict[str, list[str]] = defaultdict(list)
    for patient in sorted(scanners, key=lambda patient: _key(seed, patient)):
        by_scanner[scanners[patient]].append(patient)
    turns = {patient: turn for patients in by_scanner.values() for turn, patient in enumerate(patients)}
    return sorted(scanners, key=lambda patient: (turns[patient], _key(seed, patient)))


def _key(seed: int, patient: str) -> str:
    return hashlib.sha256(f"{seed}/{patient}".encode()).hexdigest()


def link_selection(cohort: Cohort, ledger: Ledger, folder: Path) -> Cohort:
    """A cohort of the chosen patients alone, whose images stay where they are.

    Args:
        cohort: all patients.
        ledger: what `select_patients` chose.
        folder: receives the table, and links to the folders of images and of the phantoms' truth.
    """
    chosen = {row.patient for row in ledger.rows}
    part = Cohort(folder=folder, cases=_of(cohort.cases, chosen))
    part.save()
    for name in ("cases", "truth"):
        source, link = cohort.folder / name, folder / name
        if source.is_dir() and not link.exists():
            partial = folder / f".{name}.partial"
            partial.unlink(missing_ok=True)
            partial.symlink_to(source.resolve(), target_is_directory=True)
            os.replace(partial, link)
    return part


def _of(cases: Sequence[Case], patients: set[str]) -> tuple[Case, ...]:
    return tuple(case for case in cases if case.patient in patients)
