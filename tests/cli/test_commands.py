"""The command line as its users run it: a process of its own, real files, exit codes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.components_run import ComponentsRun
from tests.helpers.series import make_files, zip_of


def call(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from cli.main import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def refused(*arguments: object) -> str:
    """The one line with which a command refused its input."""
    result = call(*arguments)
    assert result.returncode == 3, result.stderr
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


@pytest.fixture(scope="module")
def bundle(components_run: ComponentsRun) -> Path:
    return components_run.path("evaluated")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "study.zip"
    path.write_bytes(zip_of(make_files()))
    return path


def test_predict_prints_one_json_object(bundle: Path, study: Path) -> None:
    result = call("predict", study, "--bundle", bundle, "--json")
    assert result.returncode == 0, result.stderr
    answer: dict[str, Any] = json.loads(result.stdout)
    assert set(answer["probabilities"]) == {"Control", "Covid-19", "CAP"}
    assert answer["scanner"] == "Siemens Test"
    assert any("was not in the training data" in warning for warning in answer["warnings"])
    assert result.stderr == ""


def test_predict_says_the_same_in_words(bundle: Path, study: Path) -> None:
    result = call("predict", study, "--bundle", bundle, "--max-out-of-distribution", "1e6")
    assert result.returncode == 0, result.stderr
    assert "Not a medical device" in result.stdout
    assert "at threshold" in result.stdout
    assert "of the lung is marked" in result.stdout
    assert "warning: only 20 slices" in result.stderr


def test_predict_names_no_class_beyond_the_limit(bundle: Path, study: Path) -> None:
    result = call("predict", study, "--bundle", bundle, "--max-out-of-distribution", "0", "--json")
    answer: dict[str, Any] = json.loads(result.stdout)
    assert answer["out_of_distribution"] > 0
    assert (answer["label"], answer["covid_positive"]) == ("cannot be judged", None)
    wrong = call("predict", study, "--bundle", bundle, "--max-out-of-distribution", "-1")
    assert wrong.returncode == 2


def test_every_refusal_is_one_line_of_its_own_and_exit_code_3(bundle: Path, tmp_path: Path) -> None:
    text = tmp_path / "texts"
    text.mkdir()
    (text / "a.txt").write_text("hello")
    empty = tmp_path / "empty.zip"
    empty.write_bytes(zip_of([]))
    truncated = tmp_path / "truncated.dcm"
    truncated.write_bytes(make_files()[0][:1000])
    lines = [
        refused("predict", path, "--bundle", bundle, "--json") for path in (text, empty, truncated, tmp_path / "absent")
    ]
    assert "none of the 1 files is DICOM" in lines[0]
    assert "the input is empty" in lines[1]
    assert "file 1 of 1 is cut off" in lines[2]
    assert "no such file" in lines[3]
    assert "is no bundle" in refused("predict", text, "--bundle", tmp_path)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["covid-a", "cap-a", "control-a"])
def test_predict_answers_for_the_real_series(bundle: Path, shared_data: Path, name: str) -> None:
    result = call("predict", shared_data / "series" / f"{name}.zip", "--bundle", bundle, "--json")
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["scanner"] == "Siemens SOMATOM Scope"
    assert sum(answer["probabilities"].values()) == pytest.approx(1.0, abs=1e-5)
    assert isinstance(answer["warnings"], list)


@pytest.mark.real_data
def test_predict_refuses_the_real_head_and_abdomen(bundle: Path, shared_data: Path) -> None:
    assert "tilted by 18.5 degrees" in refused(
        "predict", shared_data / "series" / "head-tilted.zip", "--bundle", bundle
    )
    assert "not a chest" in refused("predict", shared_data / "other" / "example_ct.nii.gz", "--bundle", bundle)


def test_profile_show_prints_configuration_and_parameters() -> None:
    result = call("profile", "show", "paper", "--json")
    shown = json.loads(result.stdout)
    assert shown["parameters"] == {"denoiser": 5_167_365, "classifier": 920_715}
    assert shown["noise"]["octaves"] == 10
    assert "5,167,365" in call("profile", "show", "paper").stdout
    assert call("profile", "list").stdout.split() == ["demo", "experiment", "paper", "smoke"]
    assert "there is no profile 'nope'" in refused("profile", "show", "nope")


def test_doctor_tells_what_is_there() -> None:
    facts = json.loads(call("doctor", "--json").stdout)
    assert facts["cores"] >= 1
    assert facts["packages"]["tensorflow"]
    assert "tensorflow" in call("doctor", "--no-gpu").stdout


def test_a_cohort_is_made_and_shown(tmp_path: Path) -> None:
    folder = tmp_path / "cohort"
    assert "16 cases" in call("cohort", "phantom", folder, "--profile", "smoke").stdout
    shown = json.loads(call("cohort", "show", folder, "--json").stdout)
    assert shown["cases"] == 16
    assert "16 cases" in call("cohort", "show", folder).stdout


def test_help_and_usage_errors_are_those_of_a_command_line() -> None:
    assert "predict" in call("--help").stdout
    wrong = call("predict")
    assert wrong.returncode == 2
    assert "Missing argument 'study'" in wrong.stderr
    assert "Traceback" not in wrong.stderr
