"""Registered models on the command line."""

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from covidctnet.bundle import load_bundle
from covidctnet.errors import TrackingError
from infra.local.service import free_ports, listens
from integrations.registry import register_bundle
from integrations.tracking import TrackingSettings
from integrations.tracking_client import make_client
from tests.helpers.bundles import untrained_bundle


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workspace")
    settings = TrackingSettings.embedded(folder)
    bundle = untrained_bundle(folder / "bundle")
    register_bundle(bundle.folder, run_key="run", settings=settings, sites=["s1", "s2"])
    make_client(settings).set_registered_model_alias("covidctnet", "champion", "1")
    return folder


def call(*arguments: object) -> Result:
    return CliRunner(env={"MLFLOW_TRACKING_URI": "", "COLUMNS": "200"}).invoke(app, [str(part) for part in arguments])


def test_models_are_listed_shown_and_fetched(workspace: Path, tmp_path: Path) -> None:
    pair_id = load_bundle(workspace / "bundle").pair_id
    listed = call("model", "list", "--workspace", workspace)
    assert pair_id in listed.output
    assert "champion" in listed.output
    (model,) = json.loads(call("model", "list", "--workspace", workspace, "--json").stdout)
    assert (model["version"], model["aliases"], model["tags"]["sites"]) == (1, ["champion"], "s1, s2")
    shown = call("model", "show", "@champion", "--workspace", workspace)
    assert "Sites of training: s1, s2" in shown.output
    fetched = call("model", "fetch", "1", tmp_path / "b", "--workspace", workspace)
    assert fetched.output.strip() == f"bundle {pair_id}"
    assert load_bundle(tmp_path / "b").pair_id == pair_id


def test_looking_makes_nothing(tmp_path: Path) -> None:
    result = call("model", "list", "--workspace", tmp_path)
    assert isinstance(result.exception, TrackingError)
    assert "holds no mlflow.db" in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_spool_has_nothing_to_send(tmp_path: Path) -> None:
    assert call("tracking", "flush", tmp_path).output.strip() == "nothing waits here"


@pytest.mark.slow
def test_the_pages_serve_runs_and_model(workspace: Path) -> None:
    (port,) = free_ports(1)
    command = "from cli.main import main; main()"
    arguments = ["tracking", "ui", "--workspace", str(workspace), "--port", str(port)]
    process = subprocess.Popen([sys.executable, "-c", command, *arguments], stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 240.0
        while not listens(port) and time.monotonic() < end:
            time.sleep(0.2)
        assert _get(port, "/api/2.0/mlflow/registered-models/search")["registered_models"][0]["name"] == "covidctnet"
        runs = _get(port, "/api/2.0/mlflow/runs/search", {"experiment_ids": ["1"]})["runs"]
        assert [run["info"]["run_name"] for run in runs] == ["run run"]
        assert _get(port, "/ajax-api/3.0/mlflow/ui-telemetry")["disable_ui_telemetry"] is True
    finally:
        process.terminate()
        process.wait(60.0)
    assert not listens(port)


def _get(port: int, place: str, body: dict[str, Any] | None = None) -> Any:
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(f"http://127.0.0.1:{port}{place}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60.0) as answer:
        return json.load(answer)
