"""Submitting to an endpoint and asking for a run, over a real socket."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from covidctnet.errors import ConfigError, PipelineError
from pipelines.submission import Endpoint, fetch_run
from tests.helpers.kubeflow_server import RUN_ID, TOKEN, kubeflow_server
from tests.pipelines.test_compilation import IMAGE

VERSION = "34a5a33640ba5acb62cce63873c5d131.dir"


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    return path


def arguments(endpoint: str, *more: str) -> list[str]:
    return [
        "pipeline", "submit", "--endpoint", endpoint, "--repository", "s3://hospital/ct", "--data-version", VERSION,
        "--tracking", "https://mlflow.example", "--image", IMAGE, "--profile", "smoke", "--seed", "3",
        "--champion", "0123456789abcdef", *more,
    ]  # fmt: skip


def test_a_run_is_started_with_the_compiled_pipeline_and_its_parameters(token: Path) -> None:
    with kubeflow_server() as (address, seen):
        result = CliRunner().invoke(app, arguments(address, "--token-file", str(token)), catch_exceptions=False)
    assert result.exit_code == 0
    assert result.stdout == f"run {RUN_ID} started\n"
    (run,) = seen.runs
    assert run.display_name == "smoke 34a5a336"
    assert seen.experiments[0].display_name == "covidctnet"
    spec = run.pipeline_spec["pipeline_spec"]
    assert spec["pipelineInfo"]["name"] == "covidctnet-training"
    assert run.pipeline_spec["platform_spec"]["platforms"]["kubernetes"]
    given = run.runtime_config.parameters
    assert given["data_version"] == VERSION
    assert given["repository"] == "s3://hospital/ct"
    assert (given["store"], given["ledger"]) == ("/state/cohorts", "/state/splits.csv")
    assert json.loads(given["config"])["seed"] == 3
    assert (given["champion"], json.loads(given["gate_policy"])["name"]) == ("0123456789abcdef", "default")
    assert json.loads(given["tracking"])["uri"] == "https://mlflow.example"
    assert set(given) <= set(spec["root"]["inputDefinitions"]["parameters"])


def test_the_token_may_stand_in_the_environment_and_a_cookie_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cookie = tmp_path / "cookie"
    cookie.write_text("authservice_session=abc")
    with kubeflow_server(accept_cookie="authservice_session=abc") as (address, seen):
        assert fetch_run(Endpoint(url=address, namespace="lab", cookie_file=cookie), RUN_ID).state == "RUNNING"
        assert seen.cookies == {"authservice_session=abc"}
        monkeypatch.setenv("KFP_TOKEN", TOKEN)
        assert fetch_run(Endpoint(url=address, namespace="lab"), RUN_ID).state == "RUNNING"


def test_a_service_account_token_is_read_anew(token: Path) -> None:
    with kubeflow_server() as (address, _):
        place = Endpoint(url=address, namespace="lab", service_account_token_file=token)
        assert [step.seconds for step in fetch_run(place, RUN_ID).steps] == [90.0, 0.0]
        token.write_text("expired")
        with pytest.raises(PipelineError, match="does not accept the credentials"):
            fetch_run(place, RUN_ID)


def test_status_shows_the_steps_of_a_run(token: Path) -> None:
    with kubeflow_server() as (address, _):
        command = ["pipeline", "status", "--endpoint", address, "--token-file", str(token), "--run-id", RUN_ID]
        shown = CliRunner().invoke(app, command, catch_exceptions=False).stdout
        plain = CliRunner().invoke(app, [*command, "--json"], catch_exceptions=False).stdout
        with pytest.raises(PipelineError, match="no such run"):
            CliRunner().invoke(app, [*command[:-1], "another"], catch_exceptions=False)
    assert "fetch dataset" in shown
    assert "90 s" in shown
    assert json.loads(plain)["steps"][1] == {"step": "assign splits", "state": "RUNNING", "seconds": 0.0}


def test_an_endpoint_that_refuses_or_is_silent_is_told_in_one_line() -> None:
    with kubeflow_server() as (address, seen):
        with pytest.raises(PipelineError, match="does not accept the credentials"):
            CliRunner().invoke(app, arguments(address), catch_exceptions=False)
        assert seen.runs == []
    with pytest.raises(PipelineError, match="does not answer"):
        fetch_run(Endpoint(url=address, namespace="lab"), RUN_ID)


def test_an_endpoint_is_checked_before_anything_is_sent(token: Path) -> None:
    with pytest.raises(ConfigError, match="must start with http"):
        Endpoint(url="kubeflow.example")
    with pytest.raises(ConfigError, match="not several"):
        Endpoint(url="http://a", token_file=token, cookie_file=token)
    with pytest.raises(ConfigError, match="does not exist"):
        Endpoint(url="http://a", token_file=token.with_name("absent"))
