"""`covidctnet up | status | down`: started and stopped as a user does, and killed where a user may."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from covidctnet.bundle import load_bundle
from covidctnet.predictor import Predictor
from covidctnet.reading import read_volume
from infra.local.access import Access
from infra.local.control import keepers, processes
from infra.local.postgres import postgres_is_installed
from infra.local.service import free_ports, listens
from integrations.tracking import TrackingSettings
from integrations.tracking_client import make_client
from tests.helpers.series import make_files, zip_of
from tests.helpers.serving import ROOT, ZIP, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.skipif(not postgres_is_installed(), reason="run infra/local/install-debian.sh"),
]

START = "from cli.main import main; main()"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's own user can reach; nothing may run for it at the end."""
    place = Path(tempfile.mkdtemp(prefix="covidctnet-up-"))
    place.chmod(0o711)
    stack = place / "stack"
    yield stack
    call("down", stack)
    assert processes(stack) == []
    shutil.rmtree(place)


def run_command(*arguments: object) -> subprocess.CompletedProcess[str]:
    """`covidctnet` with arguments."""
    command, environment = [sys.executable, "-c", START, *map(str, arguments)], os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=500)


def call(name: str, folder: Path, *more: object) -> subprocess.CompletedProcess[str]:
    """A command of the stack."""
    return run_command(name, "--folder", folder, *more)


def states(folder: Path) -> dict[str, dict[str, Any]]:
    return {state["name"]: state for state in json.loads(call("status", folder, "--json").stdout)}


def ports_of(folder: Path) -> list[int]:
    access = Access.in_folder(folder)
    return [access.postgres_port, access.s3_port, access.mlflow_port, *access.inner_ports]


def test_a_champion_is_served_and_down_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    started = call("up", folder, "--port", port)
    assert started.returncode == 0, started.stdout + started.stderr
    assert "no champion yet" in started.stdout
    again = call("up", folder)
    assert again.returncode == 3
    assert "is up" in again.stderr

    output = tmp_path / "demo"
    demo = run_command(
        "demo", "--profile", "smoke", "--output", output, "--tracking-uri", Access.in_folder(folder).mlflow_uri
    )
    assert demo.returncode == 0, demo.stderr[-2000:]
    assert not (output / "mlflow.db").exists()
    bundle = load_bundle(output / "bundle")
    client = make_client(_settings(folder, tmp_path))
    (version,) = (int(model.version) for model in client.search_model_versions("name = 'covidctnet'"))
    client.set_registered_model_alias("covidctnet", "champion", str(version))
    wait_for(lambda: states(folder)["serving"]["state"] == "up", seconds=120)
    assert {state["state"] for state in states(folder).values()} == {"up"}
    study = zip_of(make_files())
    response = httpx.post(f"{states(folder)['serving']['address']}/v1/studies", content=study, headers=ZIP, timeout=60)
    offline = json.loads(Predictor.load(bundle.folder).predict(read_volume(study)).to_json())
    assert {name: response.json()[name] for name in offline} == offline

    stopped = call("down", folder)
    assert (stopped.returncode, stopped.stdout) == (0, "stopped\n")
    assert processes(folder) == []
    assert not any(listens(number) for number in [*ports_of(folder), port, port + 1])
    assert {state["state"] for state in states(folder).values()} == {"down"}

    # The data stay, and so do ports and credentials.
    restarted = call("up", folder, "--port", port)
    assert "serving answers" in restarted.stdout, restarted.stdout + restarted.stderr
    assert int(client.get_model_version_by_alias("covidctnet", "champion").version) == version


def _settings(folder: Path, tmp_path: Path) -> TrackingSettings:
    return TrackingSettings(Access.in_folder(folder).mlflow_uri, spool=str(tmp_path / "spool"))


def test_an_up_that_is_killed_half_way_takes_everything_with_it(folder: Path) -> None:
    started = subprocess.Popen(
        [sys.executable, "-c", START, "up", "--folder", str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "PostgreSQL answers\n"
    assert processes(folder)
    started.kill()
    started.wait()
    started.stdout.close()
    wait_for(lambda: processes(folder) == [], seconds=120)
    assert not any(listens(number) for number in ports_of(folder))


def test_down_cleans_up_after_a_keeper_that_was_killed(folder: Path) -> None:
    assert call("up", folder).returncode == 0
    (keeper,) = keepers(folder)
    keeper.send_signal(signal.SIGKILL)
    keeper.wait(10)
    assert {state["state"] for state in states(folder).values()} == {"down"}
    assert call("down", folder).returncode == 0
    assert processes(folder) == []
    assert not any(listens(number) for number in ports_of(folder))


def test_a_service_that_cannot_start_is_told_and_stops_the_others(folder: Path) -> None:
    assert call("up", folder).returncode == 0
    assert call("down", folder).returncode == 0
    access = json.loads((folder / "access.json").read_text())
    with socket.create_server(("127.0.0.1", access["mlflow_port"])):
        result = call("up", folder)
    assert result.returncode == 3
    assert "MLflow" in result.stderr
    assert processes(folder) == []


def test_another_program_s_port_is_never_taken_for_the_pair_s(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = call("up", folder, "--port", port)
    assert (result.returncode, f"port {port} is taken" in result.stderr) == (3, True)
    assert not folder.exists()


def test_status_of_an_empty_folder_makes_nothing(tmp_path: Path) -> None:
    result = call("status", tmp_path / "nowhere")
    assert (result.returncode, "covidctnet up" in result.stdout) == (0, True)
    assert not (tmp_path / "nowhere").exists()
