"""`demo`, `train` and `pipeline` as their users run them: processes of their own, exit codes, what is left behind."""

import json
from pathlib import Path

import pytest
import yaml

from covidctnet.bundle import load_bundle
from integrations.tracking import TrackingSettings
from integrations.tracking_client import make_client
from integrations.tracking_runs import find_experiment
from tests.cli.test_commands import call, refused
from tests.pipelines.test_compilation import IMAGE

ROOT = Path(__file__).parents[2]


def test_compile_writes_a_pipeline_and_refuses_an_image_that_could_change(tmp_path: Path) -> None:
    output = tmp_path / "training.yaml"
    result = call("pipeline", "compile", "--image", IMAGE, "--output", output)
    assert result.returncode == 0, result.stderr
    assert next(yaml.safe_load_all(output.read_text()))["pipelineInfo"]["name"] == "covidctnet-training"
    assert "pinned by its digest" in refused("pipeline", "compile", "--output", tmp_path / "other.yaml")
    assert list(tmp_path.iterdir()) == [output]


def test_a_workspace_without_data_is_refused_and_one_without_runs_is_told(tmp_path: Path) -> None:
    assert "no data version yet" in refused("pipeline", "run", "--workspace", tmp_path, "--profile", "smoke")
    assert "holds no cohort.csv" in refused("train", tmp_path, "--output", tmp_path / "run", "--profile", "smoke")
    result = call("pipeline", "status", "--workspace", tmp_path)
    assert result.returncode == 1
    assert "no pipeline was run" in result.stderr
    assert call("pipeline", "status").returncode == 2


@pytest.mark.slow
def test_the_demo_leaves_its_results_and_a_second_one_reuses_every_step(tmp_path: Path) -> None:
    demo = ("demo", "--profile", "smoke", "--output", tmp_path)
    result = call(*demo)
    assert result.returncode == 0, result.stderr
    assert "data.dvc names the cohort of" in " ".join(result.stderr.split())
    assert "version 1" in result.stdout
    summary = json.loads((tmp_path / "summary.json").read_text())
    bundle = load_bundle(tmp_path / "bundle")
    assert bundle.metrics is not None
    assert bundle.metrics["metrics"] == summary["metrics"]
    assert bundle.data_version == summary["data_version"]
    assert yaml.safe_load((tmp_path / "data.dvc").read_text())["outs"][0]["md5"] == summary["data_version"]
    assert (tmp_path / "report.html").stat().st_size > 50_000
    assert len(list((tmp_path / "figures").glob("*.png"))) >= 6
    assert summary["seconds"]["total"] > summary["seconds"]["train denoiser"] > 0
    assert summary["reused"] == []
    tracking = TrackingSettings.embedded(tmp_path)
    client = make_client(tracking)
    assert {run.info.status for run in client.search_runs([find_experiment(client, tracking)])} == {"FINISHED"}

    again = json.loads(call(*demo, "--json").stdout)
    assert len(again["reused"]) == 10
    assert {**again, "reused": 0, "seconds": 0, "attempts": 0} == {**summary, "reused": 0, "seconds": 0, "attempts": 0}
    status = json.loads(call("pipeline", "status", "--workspace", tmp_path, "--json").stdout)
    assert {step["state"] for step in status["steps"]} == {"reused"}

    policy = yaml.safe_load((ROOT / "integrations" / "metadata_policy.yaml").read_text())
    policy["cohort"] = [
        {"check": "many scanners", "expect": "column_values_to_be_between", "column": "scanners", "min_value": 99,
         "then": "fail"}
    ]  # fmt: skip
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(policy))
    run = ("pipeline", "run", "--workspace", tmp_path, "--profile", "smoke", "--seed", "0")
    failed = call(*run, "--policy", tmp_path / "policy.yaml")
    assert failed.returncode == 3
    assert failed.stderr.strip().splitlines()[-1].startswith("CohortError: step validate scanner metadata: the data")
    assert "Traceback" not in failed.stderr
    assert json.loads((tmp_path / "summary.json").read_text())["pair_id"] == summary["pair_id"]
