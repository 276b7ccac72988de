"""Registered models on the command line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from covidctnet.bundle import load_bundle
from covidctnet.errors import TrackingError
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
