"""Retraining on a cluster, over a real socket: the recurring run, and the run that a retraining starts and looks at."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from covidctnet.config import load_profile
from covidctnet.errors import ConfigError, PipelineError
from covidctnet.promotion.policy import load_policy
from integrations.steps.context import run_key
from integrations.steps.gate import NO_CHAMPION, decision_folder
from pipelines.gate import Gate
from pipelines.retraining.runners import ClusterRunner, Start
from pipelines.schedule import Schedule, schedule
from pipelines.settings import load_settings
from pipelines.submission import Endpoint
from tests.helpers.kubeflow_server import RUN_ID, TOKEN, Recorder, kubeflow_server
from tests.pipelines.test_compilation import IMAGE

VERSION = "34a5a33640ba5acb62cce63873c5d131.dir"
GATE = Gate(champion=NO_CHAMPION, policy=load_policy("default"))
FRESH = Start(run="", attempt=1, code_version="c1")


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(TOKEN)
    return path


def test_kubeflow_calls_retrain_at_its_times_and_one_schedule_takes_the_others_place(token: Path) -> None:
    command = [
        "pipeline", "schedule", "--cron", "0 0 3 * * *", "--image", IMAGE, "--service-account", "retrainer",
        "--token-file", str(token),
    ]  # fmt: skip
    arguments = ["--workspace", "/state/work", "--endpoint", "http://ml-pipeline:8888"]
    with kubeflow_server() as (address, seen):
        for number in (1, 2):
            call = [*command, "--endpoint", address, "--", *arguments]
            result = CliRunner().invoke(app, call, catch_exceptions=False)
            assert result.stdout == f"recurring run recurring-{number}\n"
    assert (list(seen.recurring), seen.deleted) == (["recurring-2"], ["recurring-1"])
    made = seen.recurring["recurring-2"]
    assert (made.display_name, made.trigger.cron_schedule.cron) == ("retraining", "0 0 3 * * *")
    assert (made.max_concurrency, made.no_catchup, made.mode) == ("1", True, "ENABLE")
    assert made.service_account == "retrainer"
    assert made.runtime_config.parameters == {"arguments": arguments}
    spec = made.pipeline_spec["pipeline_spec"]
    (task,) = spec["root"]["dag"]["tasks"].values()
    assert task["cachingOptions"].get("enableCache", False) is False
    (executor,) = spec["deploymentSpec"]["executors"].values()
    assert executor["container"]["image"] == IMAGE
    assert made.pipeline_spec["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


def test_a_schedule_that_cannot_work_is_refused_before_anything_is_sent() -> None:
    remote = ["--endpoint", "http://k"]
    for cron in ("0 3 * * *", "every night", "0 0 3 * * $(x)"):
        with pytest.raises(ConfigError, match="six fields"):
            Schedule(cron=cron, arguments=remote)
    with pytest.raises(ConfigError, match="give its arguments an --endpoint"):
        Schedule(cron="0 0 3 * * *", arguments=[])
    with pytest.raises(ConfigError, match="pinned by its digest"):
        schedule(Endpoint(url="http://k"), load_settings("local"), Schedule(cron="0 0 3 * * *", arguments=remote))


def runner(address: str, token: Path) -> ClusterRunner:
    return ClusterRunner(
        endpoint=Endpoint(url=address, namespace="lab", token_file=token),
        settings=load_settings("cluster", image=IMAGE),
        repository="s3://hospital/ct",
        tracking_uri="https://mlflow.example",
        shared_disk=token.parent,
    )


def test_a_run_is_started_once_looked_at_and_its_decision_read(token: Path) -> None:
    config = load_profile("smoke")
    with kubeflow_server() as (address, seen):
        cluster = runner(address, token)
        first = cluster.run(config, VERSION, GATE, started=FRESH)
        assert (first.run, first.state, first.decision) == (RUN_ID, "running", None)
        again = Start(run=RUN_ID, attempt=1, code_version="c1")
        assert cluster.run(config, VERSION, GATE, started=again).state == "running"
        assert len(seen.runs) == 1
        assert seen.runs[0].runtime_config.parameters["champion"] == NO_CHAMPION
        seen.state = "SUCCEEDED"
        with pytest.raises(PipelineError, match="holds no decision"):
            cluster.run(config, VERSION, GATE, started=again)
        key = run_key(VERSION, config.digest, "c1")
        place = decision_folder(str(token.parent / "splits.csv"), key, NO_CHAMPION, GATE.policy)
        place.mkdir(parents=True)
        assert cluster.run(config, VERSION, GATE, started=again).decision == place
        seen.state = "FAILED"
        with pytest.raises(PipelineError, match=f"run {RUN_ID} ended as FAILED"):
            cluster.run(config, VERSION, GATE, started=again)


def lose_an_answer(address: str, seen: Recorder, token: Path) -> None:
    seen.drop_answers = True
    with pytest.raises(PipelineError):
        runner(address, token).run(load_profile("smoke"), VERSION, GATE, started=FRESH)
    seen.drop_answers = False


def test_a_run_whose_answer_was_lost_is_found_and_not_started_twice(token: Path) -> None:
    with kubeflow_server() as (address, seen):
        lose_an_answer(address, seen, token)
        assert runner(address, token).run(load_profile("smoke"), VERSION, GATE, started=FRESH).run == RUN_ID
        assert len({run.display_name for run in seen.runs}) == 1
        count = len(seen.runs)
        other = Start(run="", attempt=2, code_version="c1")
        runner(address, token).run(load_profile("smoke"), VERSION, GATE, started=other)
        assert len(seen.runs) == count + 1
