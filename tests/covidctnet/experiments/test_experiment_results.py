import json
from dataclasses import replace

import pytest

from covidctnet.errors import ExperimentError
from covidctnet.experiments.results import (
    ExperimentResult,
    Figure,
    Statement,
    Table,
    load_result,
    write_result,
)


@pytest.fixture
def result():
    return ExperimentResult(
        experiment="ablation",
        title="Ablation",
        question="Does the denoiser help?",
        profile="smoke",
        seeds=(0, 1),
        data_version="d" * 8,
        code_version="c" * 8,
        cases={"Control": 2, "Covid-19": 2, "CAP": 2},
        simulated=True,
        statements=(Statement("Nothing is known.", "warning"),),
        tables=(Table("arms", "Arms", ("arm", "n", "accuracy"), (("raw", 6, 0.5), ("residual", 6, None))),),
        figures=(Figure("curves", "Curves", "figures/curves.png", "Loss by epoch."),),
        seconds=1.5,
        records={"answers": "answers.csv"},
    )


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "ablation"
    (folder / "figures").mkdir(parents=True)
    (folder / "figures" / "curves.png").write_bytes(b"png")
    (folder / "answers.csv").write_text("case\n")
    return folder


def test_a_result_is_read_back_as_it_was_written(folder, result):
    write_result(folder, result)
    assert load_result(folder) == result
    assert not list(folder.glob("*.partial"))


def test_a_result_without_its_figure_is_neither_written_nor_read(folder, result):
    write_result(folder, result)
    (folder / "figures" / "curves.png").unlink()
    with pytest.raises(ExperimentError, match=r"figures/curves.png, which is not there"):
        load_result(folder)
    with pytest.raises(ExperimentError, match="run the experiment again"):
        write_result(folder, result)


def test_no_result_says_which_command_makes_one(tmp_path):
    with pytest.raises(ExperimentError, match="covidctnet experiment crossval"):
        load_result(tmp_path / "crossval")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"experiment": "magic"}, "experiment: Input should be"),
        ({"seeds": ["0"]}, r"seeds\.0"),
        ({"surprise": 1}, "surprise: Unexpected"),
        ({"records": {"answers": "../answers.csv"}}, "must lie in the result's folder"),
        ({"statements": [{"text": "x", "tone": "loud"}]}, r"statements\.0\.tone"),
    ],
)
def test_a_malformed_result_names_the_field(folder, result, change, message):
    path = write_result(folder, result)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ExperimentError, match=message):
        load_result(folder)


def test_text_that_is_no_json_is_refused(folder, result):
    path = write_result(folder, result)
    path.write_text(path.read_text()[:-5])
    with pytest.raises(ExperimentError, match="cannot be read"):
        load_result(folder)


def test_a_table_refuses_ragged_rows_and_values_that_are_no_numbers():
    with pytest.raises(ExperimentError, match="row 1 has 1 values for 2 columns"):
        Table("arms", "Arms", ("arm", "n"), (("raw",),))
    with pytest.raises(ExperimentError, match="write None where no value is"):
        Table("arms", "Arms", ("arm", "n"), (("raw", float("nan")),))


def test_two_tables_of_one_name_are_refused(result):
    with pytest.raises(ExperimentError, match="are called arms"):
        replace(result, tables=result.tables * 2)
