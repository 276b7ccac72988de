import csv
import json
import socket
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from covidctnet.errors import CohortError, ConfigError
from covidctnet.labels import LABELS
from covidctnet.scanner_metadata import COLUMNS, CaseMetadata
from integrations.metadata_validation import Verdict, validate_metadata

SCANNERS = (("Siemens", "SOMATOM Scope", "B31s"), ("GE", "Optima CT520 Series", "LUNG"))


def row(number: int) -> CaseMetadata:
    """A case without fault; class and scanner are crossed."""
    brand, model, kernel = SCANNERS[number // 3 % 2]
    return CaseMetadata(
        case=f"case-{number:02d}", patient=f"patient-{number:02d}", site=f"site-{number // 3 % 2}",
        label=LABELS[number % 3], brand=brand, model=model, scanner=f"{brand} {model}", kernel=kernel,
        body_part="CHEST", spacing_z_mm=2.0, spacing_y_mm=0.7, spacing_x_mm=0.7, slice_thickness_mm=2.0,
        slices=150, rows=512, columns=512, extent_z_mm=300.0, kvp=120.0, hu_p01=-1000.0, hu_p50=-600.0,
        hu_p999=700.0, air_share=0.5, soft_share=0.3,
    )  # fmt: skip


ROWS = [row(number) for number in range(24)]


def write(path: Path, rows: list[CaseMetadata]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    return path


def validate(
    folder: Path, rows: list[CaseMetadata], *, ledger: Path | None = None, policy: Path | None = None
) -> Verdict:
    return validate_metadata(write(folder / "m.csv", rows), ledger=ledger, policy=policy, output=folder / "out")


def write_ledger(path: Path, rows: list[tuple[str, str, str]]) -> Path:
    lines = ["patient,split,label,scanner,seed", *(f"{patient},{split},{label},x,0" for patient, split, label in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_cohort_without_fault_passes_offline_and_leaves_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    ledger = write_ledger(tmp_path / "splits.csv", [(r.patient, "train", r.label) for r in ROWS])
    verdict = validate(tmp_path, ROWS, ledger=ledger)
    assert (verdict.passed, verdict.failures, verdict.quarantined, verdict.warnings) == (True, (), (), ())
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [
        "data_docs.html", *(f"result-{table}.json" for table in ("cases", "cohort", "splits")),
        *(f"suite-{table}.json" for table in ("cases", "cohort", "splits")), "verdict.json",
    ]  # fmt: skip
    page = verdict.html.read_text()
    assert "values must belong to this set" in page
    assert "http" not in page
    assert "<script" not in page
    suite = json.loads((tmp_path / "out" / "suite-cases.json").read_text())
    assert "expect_column_values_to_be_in_set" in {entry["type"] for entry in suite["expectations"]}


FAULTS = {
    "refused by the reader": {"refused": "slices are missing"},
    "no label": {"label": ""},
    "unknown label": {"label": "Flu"},
    "no brand": {"brand": "", "scanner": ""},
    "unknown brand": {"brand": "Acme", "scanner": "Acme X"},
    "thickness": {"slice_thickness_mm": 15.0},
    "slice spacing": {"spacing_z_mm": 0.1},
    "pixel height": {"spacing_y_mm": 20.0},
    "pixel width": {"spacing_x_mm": 0.01},
    "tube voltage": {"kvp": 12.0},
    "slices": {"slices": 5},
    "no air": {"hu_p01": -20.0},
    "no bone": {"hu_p999": 90.0},
    "no soft tissue": {"soft_share": 0.01},
    "inverted": {"hu_p50": 900.0},
}


def test_each_faulty_case_is_quarantined_with_its_reason_and_the_rest_passes(tmp_path: Path) -> None:
    faulty = [
        replace(row(number), case=f"faulty-{number}", patient=f"faulty-{number}", **fault)
        for number, fault in enumerate(FAULTS.values())
    ]
    verdict = validate(tmp_path, [*ROWS, *faulty])
    assert set(verdict.quarantined) == {case.case for case in faulty}
    assert all(verdict.reasons[name] for name in verdict.quarantined)
    assert verdict.reasons["faulty-4"] == ("the brand is known or declared new",)
    assert verdict.passed
    assert json.loads((tmp_path / "out" / "verdict.json").read_text())["quarantined"] == list(verdict.quarantined)


DOUBTS: tuple[tuple[dict[str, object], str], ...] = (
    ({"model": "New", "scanner": "GE New"}, "the model is known or declared new: GE New"),
    ({"model": ""}, "the model is there"),
    ({"kernel": ""}, "the kernel is there"),
    ({"kvp": None}, "the tube voltage is there"),
    ({"rows": 128}, "a usual number of rows: 128"),
    ({"slices": 20}, "enough slices to trust: 20"),
    ({"body_part": "HEAD"}, "the body part is the chest: HEAD"),
)


def test_what_is_doubtful_is_warned_of(tmp_path: Path) -> None:
    doubtful = [replace(row(number), **fault) for number, (fault, _) in enumerate(DOUBTS, start=24)]  # type: ignore[arg-type]
    verdict = validate(tmp_path, [*ROWS, *doubtful])
    assert (verdict.passed, verdict.quarantined) == (True, ())
    for number, (_, message) in enumerate(DOUBTS, start=24):
        told = [warning for warning in verdict.warnings if message in warning]
        assert len(told) == 1, verdict.warnings
        assert f"(1 rows, case-{number})" in told[0]


def test_a_class_that_goes_with_scanner_site_and_kernel_is_warned_of(tmp_path: Path) -> None:
    rows = [
        replace(row(number), brand="GE", model=f"M{number % 3}", scanner=f"GE M{number % 3}", site=f"s{number % 3}",
                kernel="ABC"[number % 3])
        for number in range(24)
    ]  # fmt: skip
    warnings = " ".join(validate(tmp_path, rows).warnings)
    for word in ("the scanner does not", "the site does not", "the kernel does not", "metadata alone does not tell"):
        assert word in warnings
    assert "metadata alone does not tell the class: 1" in warnings


def test_a_patient_in_two_splits_and_other_faults_of_the_ledger_fail(tmp_path: Path) -> None:
    assigned = [(r.patient, "train", r.label) for r in ROWS]
    ledger = write_ledger(
        tmp_path / "splits.csv",
        [*assigned, (ROWS[0].patient, "holdout", ROWS[0].label), ("p-x", "denoiser", "CAP"), ("p-y", "other", "CAP")],
    )
    verdict = validate(tmp_path, [replace(ROWS[1], label="CAP"), *ROWS[2:], ROWS[0]], ledger=ledger)
    assert not verdict.passed
    words = " ".join(verdict.failures)
    assert "no patient is in two splits: patient-00" in words
    assert "only Controls train the denoiser" in words
    assert "every split has a known name: other" in words
    assert "no label was corrected after its split" in " ".join(verdict.warnings)


def test_a_denoiser_s_control_that_turned_out_ill_fails(tmp_path: Path) -> None:
    assigned = [(r.patient, "denoiser" if r.label == "Control" else "train", r.label) for r in ROWS]
    ledger = write_ledger(tmp_path / "splits.csv", assigned)
    assert not validate(tmp_path, ROWS, ledger=ledger).failures
    corrected = [replace(r, label="CAP") if r.patient == ROWS[0].patient else r for r in ROWS]
    assert ROWS[0].label == "Control"
    assert any("only Controls train the denoiser" in f for f in validate(tmp_path, corrected, ledger=ledger).failures)


def test_a_cohort_without_a_class_or_mostly_quarantined_fails(tmp_path: Path) -> None:
    verdict = validate(tmp_path, [r for r in ROWS if r.label != "CAP"])
    assert any("every class has patients: 0" in failure for failure in verdict.failures)
    verdict = validate(tmp_path, [replace(r, refused="x") for r in ROWS[3:]] + ROWS[:3])
    assert any("enough cases are left: 0.875" in failure for failure in verdict.failures)


def test_a_policy_file_changes_what_follows(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        "known: {brands: [GE]}\ndeclared_new: {brands: [Acme]}\n"
        "cases: [{check: brand, then: fail, expect: column_values_to_be_in_set, column: brand, value_set: brands}]\n"
    )
    rows = [replace(r, brand="Acme") for r in ROWS]
    assert validate(tmp_path, rows, policy=policy).passed
    verdict = validate(tmp_path, ROWS, policy=policy)
    assert verdict.failures[0].startswith("not met: brand: Siemens (12 rows, case-00")
    assert (tmp_path / "out" / "policy.yaml").read_text() == policy.read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cases: 1", "known"),
        ("known: {}\ncases: [{check: a, then: stop, expect: x}]", "then"),
        ("known: {}\ncohort: [{check: a, then: quarantine, expect: x}]", "can fail or warn, not quarantine"),
        ("known: {}\ncases: [{check: a, then: warn, expect: nonsense}]", "does not know"),
        ("known: {}\ncases: [{check: a, then: warn, expect: column_values_to_be_unique}]", "arguments of 'a'"),
        (
            "known: {}\ncases: [{check: a, then: warn, expect: column_values_to_be_unique, column: nope}]",
            "cannot be evaluated",
        ),
        (
            "known: {}\n"
            "cases: [{check: a, then: warn, expect: column_values_to_be_in_set, column: brand, value_set: x}]",
            "names the list 'x'",
        ),
        ("- a", "must hold a mapping"),
        ("a: [", "no YAML|not YAML"),
    ],
)
def test_a_wrong_policy_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "policy.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        validate(tmp_path, ROWS, policy=tmp_path / "policy.yaml")


def test_a_wrong_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("case,label\n")
    with pytest.raises(CohortError, match="must have the columns"):
        validate_metadata(tmp_path / "m.csv", ledger=None, policy=None, output=tmp_path / "out")
    with pytest.raises(CohortError, match="the cohort is empty"):
        validate(tmp_path, [])
    with pytest.raises(ConfigError, match="no such policy file"):
        validate(tmp_path, ROWS, policy=tmp_path / "absent.yaml")
