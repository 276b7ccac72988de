"""`covidctnet experiment` in this process: refusals, and what is printed of a result."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from cli.experiment import show_result
from cli.main import app
from covidctnet.errors import BundleError, ConfigError, CovidCTNetError, ExperimentError
from covidctnet.experiments.results import ExperimentResult, Statement, Table

RUNNER = CliRunner()
IMAGE = "registry.example/covidctnet-python@sha256:" + "0123456789abcdef" * 4


def call(*arguments: object) -> Result:
    return RUNNER.invoke(app, ["experiment", *map(str, arguments)])


def refusal(*arguments: object) -> CovidCTNetError:
    error = call(*arguments).exception
    assert isinstance(error, CovidCTNetError)
    return error


def test_every_experiment_is_a_command() -> None:
    shown = call("--help").stdout
    for name in ("ablation", "patches", "clinical", "crossval", "scanners", "localisation", "compile"):
        assert name in shown


def test_an_experiment_compiles_for_a_cluster_and_wants_a_pinned_image(tmp_path: Path) -> None:
    output = tmp_path / "ablation.yaml"
    assert call("compile", "ablation", "--output", output, "--image", IMAGE, "--seed", 0).exit_code == 0
    assert next(yaml.safe_load_all(output.read_text()))["pipelineInfo"]["name"] == "covidctnet-ablation"
    assert isinstance(refusal("compile", "ablation", "--output", output), ConfigError)
    assert isinstance(refusal("compile", "readers", "--output", output, "--image", IMAGE), ExperimentError)


def test_what_is_missing_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    workspace = tmp_path / "ws"
    assert isinstance(refusal("ablation", "--profile", "huge", "--workspace", workspace), ConfigError)
    assert isinstance(refusal("localisation", "--bundle", tmp_path, "--workspace", workspace), BundleError)
    assert call("crossval", "--folds", 2, "--workspace", workspace).exit_code == 2
    assert not workspace.exists()


def result() -> ExperimentResult:
    return ExperimentResult(
        experiment="ablation",
        title="Ablation",
        question="Better?",
        profile="smoke",
        seeds=(0, 1),
        data_version="d",
        code_version="c",
        cases={"Control": 1, "Covid-19": 2, "CAP": 3},
        simulated=True,
        statements=(Statement("Nothing is shown [at all].", "warning"),),
        tables=(Table("arms", "Arms", ("arm",), (("raw",),)),),
        figures=(),
        seconds=1.0,
    )


def test_a_result_is_printed_in_words_or_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_result(result(), tmp_path, json_output=False)
    shown = capsys.readouterr().out
    assert "Nothing is shown [at all]." in shown
    assert "1 Control, 2 Covid-19, 3 CAP" in shown
    show_result(result(), tmp_path, json_output=True)
    assert json.loads(capsys.readouterr().out)["cases"] == {"Control": 1, "Covid-19": 2, "CAP": 3}
