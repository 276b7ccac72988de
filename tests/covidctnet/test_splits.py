import hashlib
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covidctnet.cohort import Case, Cohort
from covidctnet.config import SplitConfig
from covidctnet.errors import CohortError
from covidctnet.labels import LABELS
from covidctnet.splits import Assignment, Ledger, assign_splits

SHARES = SplitConfig(denoiser=0.25, validation=0.2, holdout=0.3)


def cohort_of(patients: list[tuple[str, str, str]]) -> Cohort:
    """A cohort of (patient, label, scanner)."""
    cases = tuple(
        Case(case=f"c-{patient}", patient=patient, site="s", label=label, scanner=scanner, kernel="k",
             sha256=hashlib.sha256(patient.encode()).hexdigest())
        for patient, label, scanner in patients
    )  # fmt: skip
    return Cohort(folder=Path(), cases=cases)


def balanced(each: int, scanners: int = 6, controls: int | None = None) -> Cohort:
    sizes = (controls or each, each, each)
    return cohort_of(
        [(f"{label}-{n}", LABELS[label], f"S{n % scanners}") for label in range(3) for n in range(sizes[label])]
    )


def test_shares_come_out_within_a_patient_and_scanners_alike_across_classes() -> None:
    config = SplitConfig(denoiser=0.25, validation=1 / 6, holdout=1 / 3)
    ledger = assign_splits(balanced(36, controls=48), config, 0, Ledger())
    counts = Counter((row.label, row.split) for row in ledger.rows)
    for label in LABELS:
        for split, wanted in (("train", 18), ("validation", 6), ("holdout", 12)):
            assert abs(counts[label, split] - wanted) <= 1
    assert abs(counts["Control", "denoiser"] - 12) <= 1
    by_scanner = Counter((row.split, row.scanner, row.label) for row in ledger.rows)
    for split in ("train", "holdout"):
        for scanner in range(6):
            alike = [by_scanner[split, f"S{scanner}", label] for label in LABELS]
            assert max(alike) - min(alike) <= 1


def test_only_controls_train_the_denoiser_and_no_one_is_in_two_splits() -> None:
    ledger = assign_splits(balanced(20), SHARES, 3, Ledger())
    assert {row.label for row in ledger.rows if row.split == "denoiser"} == {"Control"}
    assert len({row.patient for row in ledger.rows}) == len(ledger.rows) == 60


def test_the_seed_decides() -> None:
    cohort = balanced(20)
    one, same, other = (assign_splits(cohort, SHARES, seed, Ledger()) for seed in (1, 1, 2))
    assert one == same
    assert {r.patient: r.split for r in one.rows} != {r.patient: r.split for r in other.rows}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from("ABC")), max_size=60), st.integers(0, 5))
def test_growing_a_cohort_moves_nobody(added: list[tuple[str, str]], seed: int) -> None:
    start = balanced(9, scanners=3)
    first = assign_splits(start, SHARES, seed, Ledger())
    grown = cohort_of(
        [(case.patient, case.label, case.scanner) for case in start.cases]
        + [(f"new-{number}", label, scanner) for number, (label, scanner) in enumerate(added)]
    )
    second = assign_splits(grown, SHARES, seed + 1, first)
    assert second.rows[: len(first.rows)] == first.rows
    assert len({row.patient for row in second.rows}) == len(second.rows) == 27 + len(added)
    assert all(row.label == "Control" for row in second.rows if row.split == "denoiser")


def test_a_patient_who_left_keeps_the_row() -> None:
    cohort = balanced(9)
    ledger = assign_splits(cohort, SHARES, 0, Ledger())
    smaller = Cohort(folder=Path(), cases=cohort.cases[1:])
    assert assign_splits(smaller, SHARES, 0, ledger) == ledger


def test_small_shares_still_get_one_patient() -> None:
    ledger = assign_splits(balanced(8), SplitConfig(denoiser=0.25, validation=0.05, holdout=0.05), 0, Ledger())
    counts = Counter((row.label, row.split) for row in ledger.rows)
    assert all(counts[label, split] == 1 for label in LABELS for split in ("validation", "holdout"))


def test_classes_that_are_too_small_or_missing_are_refused() -> None:
    with pytest.raises(CohortError, match="no Covid-19 patient is in"):
        assign_splits(cohort_of([(f"p{n}", "Control", "S") for n in range(9)]), SHARES, 0, Ledger())


def test_a_corrected_label_changes_no_split_and_counts_in_the_new_class() -> None:
    patients = [(f"{label}-{n}", LABELS[label], "S") for label in range(3) for n in range(9)]
    ledger = assign_splits(cohort_of(patients), SHARES, 0, Ledger())
    splits = ledger.splits()
    moved = next(patient for patient, label, _ in patients if label == "Control" and splits[patient] == "holdout")
    corrected = [(patient, "CAP" if patient == moved else label, scanner) for patient, label, scanner in patients]
    grown = assign_splits(cohort_of([*corrected, ("CAP-new", "CAP", "S")]), SHARES, 0, ledger)
    assert grown.rows[:-1] == ledger.rows
    assert grown.rows[-1].split != "holdout"


def test_a_control_of_the_denoiser_that_turns_out_ill_is_refused() -> None:
    ledger = assign_splits(balanced(9), SHARES, 0, Ledger())
    trained = next(row.patient for row in ledger.rows if row.split == "denoiser")
    with pytest.raises(CohortError, match=f"{trained} trains the denoiser and is CAP now.*data remove"):
        assign_splits(cohort_of([(trained, "CAP", "S0")]), SHARES, 0, ledger)


def test_shares_that_leave_nobody_to_train_are_refused() -> None:
    with pytest.raises(CohortError, match="leave nobody to train on"):
        assign_splits(balanced(9), SplitConfig(validation=0.5, holdout=0.5), 0, Ledger())


def test_a_ledger_survives_writing_and_only_grows(tmp_path: Path) -> None:
    path = tmp_path / "splits.csv"
    assert Ledger.load(path) == Ledger()
    ledger = assign_splits(balanced(9), SHARES, 0, Ledger())
    ledger.save(path)
    assert Ledger.load(path) == ledger
    with pytest.raises(CohortError, match="rows are only added"):
        Ledger(rows=ledger.rows[1:]).save(path)
    assert Ledger.load(path) == ledger
    path.write_text("patient,split\n")
    with pytest.raises(CohortError, match="must have the columns"):
        Ledger.load(path)


def test_contradictory_rows_are_refused() -> None:
    row = Assignment(patient="p", split="train", label="CAP", scanner="S", seed="0")
    with pytest.raises(CohortError, match="patient p is in the ledger more than once"):
        Ledger(rows=(row, row))
    with pytest.raises(CohortError, match="there is no split 'test'"):
        Assignment(patient="p", split="test", label="CAP", scanner="S", seed="0")
    with pytest.raises(CohortError, match="trains the denoiser but is CAP"):
        Assignment(patient="p", split="denoiser", label="CAP", scanner="S", seed="0")
    with pytest.raises(CohortError, match="patient q is in no split"):
        Ledger(rows=(row,)).splits()["q"]
