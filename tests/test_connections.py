"""No connection beyond the configured addresses: libraries, tracking and registry are watched as they run."""

import sys
from pathlib import Path

import pytest

from tests.helpers.connections import can_make_namespace, record

isolated = pytest.mark.skipif(not can_make_namespace(), reason="no right to make a network namespace")

COMPILED = ["bash", "-c", "timeout 1 bash -c 'exec 3<>/dev/tcp/192.0.2.7/99'; true"]
CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
ASKS = """
import socket
try:
    socket.create_connection(("127.0.0.1", 9), timeout=0.5)
except OSError:
    pass
"""
UNTOLD = """
import time, warnings, sys
warnings.simplefilter("ignore")
import mlflow
mlflow.set_tracking_uri(sys.argv[1])
mlflow.start_run()
mlflow.end_run()
time.sleep(3)
"""
TRACKED = """
import sys, time
from pathlib import Path
from integrations.registry import fetch_bundle, register_bundle
from integrations.tracking import TrackingSettings, track_step
from tests.helpers.bundles import untrained_bundle

folder = Path(sys.argv[1])
settings = TrackingSettings.embedded(folder)
with track_step("train", run_key="k", settings=settings) as tracker:
    tracker.log_params({"epochs": 1})
bundle = untrained_bundle(folder / "bundle")
assert register_bundle(bundle.folder, run_key="k", settings=settings) == 1
fetch_bundle("models:/covidctnet/1", folder / "fetched", settings=settings)
time.sleep(3)
"""
LIBRARIES = """
import os, sys, time
import integrations
os.chdir(sys.argv[1])
import great_expectations as gx
import pandas as pd
context = gx.get_context(mode="ephemeral")
asset = context.data_sources.add_pandas("source").add_dataframe_asset("asset")
batch = asset.add_batch_definition_whole_dataframe("batch").get_batch({"dataframe": pd.DataFrame({"x": [1, 2]})})
assert batch.validate(gx.expectations.ExpectColumnValuesToNotBeNull(column="x")).success
from dvc.cli import main
assert main(["init", "--no-scm", "-q"]) == 0
open("data", "w").write("1")
assert main(["add", "data", "-q"]) == 0
import kfp.local
kfp.local.init(kfp.local.SubprocessRunner(use_venv=False))
import keras, openvino
time.sleep(3)
"""


def test_a_child_of_a_child_is_seen() -> None:
    seen = record([sys.executable, "-c", CHILD, ASKS])
    assert seen.code == 0, seen.output
    assert seen.ports == {9}
    assert seen.outside == set()


@isolated
def test_compiled_code_is_seen() -> None:
    assert record(COMPILED, namespace=True).outside == {"192.0.2.7"}


@isolated
@pytest.mark.slow
def test_mlflow_left_alone_calls_home_so_that_the_watcher_can_fail(tmp_path: Path) -> None:
    seen = record(
        ["env", "-u", "MLFLOW_DISABLE_TELEMETRY", "-u", "DO_NOT_TRACK",
         sys.executable, "-c", UNTOLD, f"sqlite:///{tmp_path}/mlflow.db"],
        namespace=True,
    )  # fmt: skip
    assert any("mlflow" in host for host in seen.outside), seen.output


@pytest.mark.slow
def test_tracking_and_registry_ask_for_no_address(tmp_path: Path) -> None:
    seen = record([sys.executable, "-c", TRACKED, str(tmp_path)], namespace=can_make_namespace())
    assert seen.code == 0, seen.output
    assert (seen.outside, seen.ports) == (set(), set())


@pytest.mark.slow
def test_the_libraries_of_the_pipeline_ask_for_no_address(tmp_path: Path) -> None:
    seen = record([sys.executable, "-c", LIBRARIES, str(tmp_path)], namespace=can_make_namespace())
    assert seen.code == 0, seen.output
    assert (seen.outside, seen.ports) == (set(), set())
