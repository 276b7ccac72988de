"""A reader study end to end on phantoms, through a real bundle; the networks are untrained."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from covidctnet.bundle import patient_key
from covidctnet.cohort import Cohort
from covidctnet.config import load_profile
from covidctnet.errors import CohortError
from covidctnet.experiments.readers import run_readers
from covidctnet.experiments.results import ExperimentResult, load_result
from covidctnet.readers.answers import reader_cases
from covidctnet.readers.example import make_reader_example
from covidctnet.readers.files import CLOUDS, READERS_FILE, SCORES
from covidctnet.readers.table import load_readers
from tests.helpers.bundles import untrained_bundle

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readers")
    make_reader_example(folder / "cohort", load_profile("smoke").phantom, workers=1)
    untrained_bundle(folder / "bundle", trained_on=(patient_key("somebody"),))
    return folder


def compare(example: Path, output: Path) -> ExperimentResult:
    cohort, table = Cohort.load(example / "cohort"), load_readers(example / "cohort" / READERS_FILE)
    return run_readers(example / "bundle", cohort, table, output, kept=example / "answers", data_version=cohort.version)


@pytest.fixture(scope="module")
def result(example: Path) -> ExperimentResult:
    return compare(example, example / "readers")


def test_the_example_has_twenty_cases_and_four_readers_who_say_that_they_are_simulated(example: Path) -> None:
    with (example / "cohort" / READERS_FILE).open() as file:
        rows = list(csv.DictReader(file))
    assert len(Cohort.load(example / "cohort").cases) == 20
    assert len(rows) == 80
    assert {row["simulated"] for row in rows} == {"yes"}


def test_the_result_says_that_readers_and_cases_are_made_up(result: ExperimentResult, example: Path) -> None:
    warnings = " ".join(statement.text for statement in result.statements if statement.tone == "warning")
    assert "readers are simulated" in warnings
    assert "20 of 20 cases are phantoms" in warnings
    assert result.simulated
    assert any("none of whom shaped the bundle" in statement.text for statement in result.statements)
    assert load_result(example / "readers") == result
    assert all("simulated" in table.title for table in result.tables if "reader" in table.title.lower())


def test_tables_agree_with_the_answers(result: ExperimentResult) -> None:
    tables = {table.name: table for table in result.tables}
    answers = tables["answers"].rows
    readers = tables["answers"].columns[4:]
    for place, reader in enumerate(readers, start=4):
        share = sum(row[place] == row[1] for row in answers) / 20
        (row,) = [row for row in tables["scores"].rows if row[0] == reader]
        assert str(row[1]).startswith(f"{share:.3f} (")
    assert [row[0] for row in tables["scores"].rows] == ["model", "mean reader", *readers]
    assert len(tables["mcnemar"].rows) == 16


def test_answers_are_kept_for_a_run_that_was_killed(example: Path, result: ExperimentResult) -> None:
    folder = example / "readers"
    kept = {path: path.read_text() for path in (example / "answers").glob("*.json")}
    assert len(kept) == 20
    times = {path: path.stat().st_mtime_ns for path in kept}
    forgotten, stale = sorted(kept)[:2]
    forgotten.unlink()
    document = json.loads(kept[stale])
    document["key"]["sha256"] = "0" * 64
    stale.write_text(json.dumps(document))

    again = compare(example, folder)

    assert again.tables == result.tables
    changed = {path for path in kept if path.stat().st_mtime_ns != times[path]}
    assert changed == {forgotten, stale}
    assert {path: path.read_text() for path in kept} == kept


def test_clouds_and_scores_lie_beside_the_result(example: Path, result: ExperimentResult) -> None:
    folder = example / "readers"
    assert [cloud["label"] for cloud in json.loads((folder / CLOUDS).read_text())] == ["Control", "Covid-19", "CAP"]
    scores = json.loads((folder / SCORES).read_text())
    known = {"cases": 20, "covid": 7, "phantoms": 20, "simulated": True}
    assert {name: scores["about"][name] for name in known} == known
    assert set(scores["raters"]) == {"model", "mean reader", *(f"simulated-{n}" for n in range(1, 5))}
    assert {figure.name for figure in result.figures} >= {"scores", "roc", "confusion", "kappa", "slices", "wrong"}


def test_patients_who_shaped_the_bundle_are_refused(example: Path) -> None:
    cohort = Cohort.load(example / "cohort")
    names = [case.case for case in cohort.cases]
    with pytest.raises(CohortError, match="1 of 20 patients shaped this bundle"):
        reader_cases(cohort, names, [patient_key(cohort.cases[3].patient)])
    with pytest.raises(CohortError, match="1 of 21 cases are not in the cohort, other first"):
        reader_cases(cohort, [*names, "other"], [])
    twins = replace(cohort.cases[1], patient=cohort.cases[0].patient, label=cohort.cases[0].label)
    doubled = Cohort(folder=cohort.folder, cases=(cohort.cases[0], twins, *cohort.cases[2:]))
    with pytest.raises(CohortError, match="keep one case a patient"):
        reader_cases(doubled, names, [])
