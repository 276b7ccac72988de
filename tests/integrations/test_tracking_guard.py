import json
from pathlib import Path

import pytest

from covidctnet.errors import PrivateRecordError
from integrations.tracking_guard import check_file, check_key, check_values
from tests.helpers.series import make_files, zip_of


@pytest.mark.parametrize(
    "key",
    ["patient", "Patient ID", "PatientID", "patients_name", "patientName", "pseudonym", "AccessionNumber", "mrn",
     "StudyInstanceUID", "series_uid", "birth_date", "DOB", "e.email", "referring_physician", "first_name"],
)  # fmt: skip
def test_a_name_for_a_patient_or_study_is_refused(key: str) -> None:
    with pytest.raises(PrivateRecordError, match="names a patient or a study"):
        check_key(key)
    with pytest.raises(PrivateRecordError):
        check_key(key, countable=True)


@pytest.mark.parametrize(
    "values",
    [
        {"holdout_patients": 15, "patients": 3.0},
        {"scanner": "Siemens SOMATOM Scope", "kernel": "B31s", "site": "s1"},
        {"learning_rate": 1e-4, "three_class.per_class.Covid-19.auc": 0.9},
        {"openvino": "2026.4.1", "spacing": (1.0, 1.0, 1.0), "package": "1.2.3.4.5.6.7"},
        {"created": "2026-11-24T15:30:00"},
    ],
)
def test_what_the_product_logs_passes(values: dict[str, object]) -> None:
    check_values(values)


@pytest.mark.parametrize(
    ("value", "what"),
    [("MUELLER^ANNA", "person name"), ("see 1.3.6.1.4.1.14519.5.2.1.7311", "DICOM UID"), ("a.b@clinic.org", "mail")],
)
def test_a_value_that_looks_like_an_identity_is_refused_and_not_quoted(value: str, what: str) -> None:
    with pytest.raises(PrivateRecordError, match=what) as refusal:
        check_values({"note": value})
    assert value not in str(refusal.value)


def test_a_list_of_patients_is_no_count() -> None:
    with pytest.raises(PrivateRecordError, match="'patients'"):
        check_values({"patients": ["p1", "p2"]})


def test_images_are_refused_whatever_they_are_called(tmp_path: Path) -> None:
    image, archive, volume = tmp_path / "scan.txt", tmp_path / "figure.png", tmp_path / "v.npy"
    image.write_bytes(make_files()[0])
    archive.write_bytes(zip_of(make_files()))
    volume.write_bytes(b"")
    for path in (image, archive, volume):
        with pytest.raises(PrivateRecordError, match="may hold a patient's images"):
            check_file(path)


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("a.csv", "case,patient,label\nc1,p1,CAP\n", "'patient' names"),
        ("a.json", json.dumps({"cases": [{"patient_id": "p1"}]}), "'patient_id' names"),
        ("a.html", "<td>DOE^JOHN</td>", "person name"),
        ("a.log", "read 1.2.840.113619.2.55.3.604688119.969", "DICOM UID"),
    ],
)
def test_a_text_with_an_identity_is_refused(tmp_path: Path, name: str, text: str, what: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(PrivateRecordError, match=what):
        check_file(tmp_path / name)


def test_reports_and_figures_pass(tmp_path: Path) -> None:
    for name, data in {
        "roc.png": b"\x89PNG\r\n",
        "summary.json": json.dumps({"metrics": {"patients": 3, "patients_by_label": {"CAP": 1}}}).encode(),
        "counts.csv": b"label,cases\nCAP,3\n",
        "broken.json": b"{",
        "report.html": b"<p>Research use only.</p>",
    }.items():
        (tmp_path / name).write_bytes(data)
        check_file(tmp_path / name)
