from pathlib import Path

import pytest

from covidctnet.cohort import Cohort
from covidctnet.errors import CohortError, StudyError
from covidctnet.ingest import add_study
from tests.helpers.series import make_files, write_folder, zip_of


def test_a_study_becomes_a_case_and_a_second_one_joins_it(tmp_path: Path) -> None:
    study = write_folder(tmp_path / "study", make_files())
    case = add_study(tmp_path / "cohort", study, label="CAP", patient="p1", site="s1")
    assert (case.scanner, case.kernel, case.label) == ("Siemens Test", "B31s", "CAP")
    add_study(tmp_path / "cohort", study, label="Control", patient="p2", site="s1")
    cohort = Cohort.load(tmp_path / "cohort")
    cohort.verify()
    assert {member.patient for member in cohort.cases} == {"p1", "p2"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "is in the cohort already"),
        ({"label": "Covid"}, "there is no label"),
        ({"patient": "John Doe"}, "patient must be"),
    ],
)
def test_a_refused_study_leaves_the_cohort_as_it_was(tmp_path: Path, change: dict[str, str], message: str) -> None:
    study = tmp_path / "study.zip"
    study.write_bytes(zip_of(make_files()))
    values = {"label": "CAP", "patient": "p1", "site": "s1"}
    add_study(tmp_path / "cohort", study, **values)
    before = sorted(path.relative_to(tmp_path) for path in (tmp_path / "cohort").rglob("*"))
    with pytest.raises(CohortError, match=message):
        add_study(tmp_path / "cohort", study, **{**values, **change})
    assert sorted(path.relative_to(tmp_path) for path in (tmp_path / "cohort").rglob("*")) == before


def test_an_unreadable_study_adds_nothing(tmp_path: Path) -> None:
    with pytest.raises(StudyError):
        add_study(tmp_path / "cohort", tmp_path / "absent", label="CAP", patient="p1", site="s1")
    assert not (tmp_path / "cohort" / "cohort.csv").exists()
