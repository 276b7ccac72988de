import csv
import hashlib
from pathlib import Path

import pytest

from covidctnet.cohort import Case, Cohort
from covidctnet.config import Config, load_profile
from covidctnet.errors import CohortError
from covidctnet.phantom.cohort import make_phantom_cohort
from covidctnet.scanner_metadata import COLUMNS, describe_cohort
from tests.helpers.series import make_files, zip_of


@pytest.fixture(scope="module")
def config() -> Config:
    return load_profile("smoke")


@pytest.fixture(scope="module")
def cohort(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return make_phantom_cohort(tmp_path_factory.mktemp("cohort"), config.phantom, config.seed)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_case_is_described_in_the_order_of_the_cohort(cohort: Cohort, config: Config, tmp_path: Path) -> None:
    told: list[int] = []
    path = describe_cohort(
        cohort, config, tmp_path / "m.csv", on_progress=lambda stage, done, total: told.append(done), workers=2
    )
    rows = rows_of(path)
    assert tuple(rows[0]) == COLUMNS
    assert [row["case"] for row in rows] == [case.case for case in cohort.cases]
    assert told == list(range(1, len(rows) + 1))
    assert {row["kernel"] for row in rows} == {case.kernel for case in cohort.cases}
    assert max(float(row["spacing_z_mm"]) for row in rows) == config.phantom.slice_spacing_mm
    assert all(row["refused"] == "" and float(row["hu_p999"]) > 150 for row in rows)
    assert [file.name for file in tmp_path.iterdir()] == ["m.csv"]


def test_what_the_reader_refuses_is_a_row_with_the_reason(config: Config, tmp_path: Path) -> None:
    hot = make_files()
    contents = {
        "short": zip_of(hot[:3]),
        "junk": b"no zip",
        # A shifted intercept: the header and the geometry are right, the values are not Hounsfield units.
        "shifted": zip_of(make_files(edit=lambda image, index: setattr(image, "RescaleIntercept", "1000"))),
    }
    cases = tuple(
        Case(
            case=name,
            patient=name,
            site="s",
            label="CAP",
            scanner="x",
            kernel="",
            sha256=hashlib.sha256(data).hexdigest(),
        )
        for name, data in contents.items()
    )
    cohort = Cohort(folder=tmp_path, cases=cases)
    for name, data in contents.items():
        cohort.path(name).parent.mkdir(exist_ok=True)
        cohort.path(name).write_bytes(data)
    short, junk, shifted = rows_of(describe_cohort(cohort, config, tmp_path / "m.csv"))
    assert "fewer than 12" in short["refused"]
    assert junk["refused"]
    assert junk["brand"] == ""
    assert "there is no air" in shifted["refused"]
    assert (shifted["brand"], shifted["slices"]) == ("Siemens", "20")


def test_some_cases_can_be_described_alone(cohort: Cohort, config: Config, tmp_path: Path) -> None:
    names = [cohort.cases[2].case, cohort.cases[0].case]
    assert [row["case"] for row in rows_of(describe_cohort(cohort, config, tmp_path / "m.csv", cases=names))] == names
    with pytest.raises(CohortError, match="1 of 1 cases are not in the cohort, nope first"):
        describe_cohort(cohort, config, tmp_path / "m.csv", cases=["nope"])
