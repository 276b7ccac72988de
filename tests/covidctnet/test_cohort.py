import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from covidctnet.cohort import Case, Cohort
from covidctnet.errors import CohortError


def case(name: str = "c1", **changes: str) -> Case:
    values = {"patient": f"p-{name}", "site": "s", "label": "CAP", "scanner": "GE X", "kernel": "B",
              "sha256": hashlib.sha256(name.encode()).hexdigest()}  # fmt: skip
    return Case(case=name, **{**values, **changes})


def test_a_cohort_survives_writing_and_its_version_ignores_the_order(tmp_path: Path) -> None:
    cohort = Cohort(folder=tmp_path, cases=(case("b"), case("a", kernel='odd, "kernel"')))
    cohort.save()
    loaded = Cohort.load(tmp_path)
    assert set(loaded.cases) == set(cohort.cases)
    assert loaded.version == cohort.version == replace(cohort, cases=cohort.cases[::-1]).version
    assert loaded.add(case("c")).version != loaded.version
    assert [path.name for path in tmp_path.iterdir()] == ["cohort.csv"]


def test_every_column_is_part_of_the_version(tmp_path: Path) -> None:
    versions = {
        Cohort(folder=tmp_path, cases=(case(**changes),)).version
        for changes in ({}, {"patient": "q"}, {"label": "Control"}, {"kernel": "C"}, {"sha256": "0" * 64})
    }
    assert len(versions) == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": "covid"}, "there is no label 'covid'"),
        ({"patient": "Doe, John"}, "patient must be 1 to 64 letters, digits, - or _, not 'Doe, John'"),
        ({"site": ""}, "site must be"),
        ({"sha256": "abc"}, "64 hexadecimal digits, not 'abc'"),
    ],
)
def test_a_malformed_case_is_refused(changes: dict[str, str], message: str) -> None:
    with pytest.raises(CohortError, match=message):
        case(**changes)


def test_contradictions_are_refused(tmp_path: Path) -> None:
    cohort = Cohort(folder=tmp_path, cases=(case("a"),))
    with pytest.raises(CohortError, match="case a is in the cohort more than once"):
        cohort.add(case("a", sha256="1" * 64))
    with pytest.raises(CohortError, match="more than once"):
        cohort.add(case("b", sha256=cohort.cases[0].sha256))
    with pytest.raises(CohortError, match="patient p-a has two labels: CAP and Control"):
        cohort.add(case("b", patient="p-a", label="Control"))


def test_missing_and_changed_zips_are_noticed(tmp_path: Path) -> None:
    cohort = Cohort(folder=tmp_path, cases=(case("a"), case("b")))
    with pytest.raises(CohortError, match="2 of 2 cases have no zip, a first"):
        cohort.verify()
    (tmp_path / "cases").mkdir()
    for name in "ab":
        cohort.path(name).write_bytes(name.encode())
    cohort.verify()
    cohort.path("b").write_bytes(b"other")
    with pytest.raises(CohortError, match="1 of 2 zips were changed, b first"):
        cohort.verify()


def test_a_table_of_another_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"holds no cohort\.csv"):
        Cohort.load(tmp_path)
    (tmp_path / "cohort.csv").write_text("case,label\n")
    with pytest.raises(CohortError, match="must have the columns case, patient"):
        Cohort.load(tmp_path)
    (tmp_path / "cohort.csv").write_text("case,patient,site,label,scanner,kernel,sha256\na\n")
    with pytest.raises(CohortError, match="there is no label ''"):
        Cohort.load(tmp_path)
