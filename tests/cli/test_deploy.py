"""`covidctnet deploy` as a process: against a registry and a cluster, killed and run again, told to go back."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from covidctnet.bundle import load_bundle
from integrations.registry import register_bundle
from integrations.tracking_client import TrackingSettings, make_client
from tests.helpers import crds
from tests.helpers.contest import write_model
from tests.helpers.kubernetes_api import kubernetes_api, write_kubeconfig
from tests.helpers.rollout_world import QUICK, Behaviour, World
from tests.helpers.serving import ROOT, wait_for

pytestmark = pytest.mark.slow

FAST = {
    "shadow": {"requests": 8, "seconds": 0.5, "patience_seconds": 60},
    "canary": [{"weight": 50, "observation": {"requests": 4, "seconds": 0.5, "patience_seconds": 60}}],
    "full": {"requests": 2, "seconds": 0.5, "patience_seconds": 60},
    "poll_seconds": 0.2,
    "hold_seconds": 3,
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A workspace with two versions, the second one challenger, and their bundles' `pair_id`s."""
    folder = tmp_path_factory.mktemp("registry")
    settings = TrackingSettings.embedded(folder)
    bundles = [write_model(folder / name, weights=name.encode()) for name in ("one", "two")]
    for bundle in bundles:
        register_bundle(bundle, run_key=bundle.name, settings=settings)
    make_client(settings).set_registered_model_alias("covidctnet", "challenger", "2")
    return folder, [load_bundle(bundle).pair_id for bundle in bundles]


class Desk:
    """Where `covidctnet deploy` is called, with a world around it in which time and load go on."""

    def __init__(self, world: World, folder: Path, workspace: Path) -> None:
        self.world, self.folder = world, folder
        (folder / "policy.yaml").write_text(yaml.safe_dump(QUICK | FAST))
        self._options = [
            "--gateway=gateways/hospital", f"--policy={folder / 'policy.yaml'}", f"--workspace={workspace}",
            "--storage=s3://bundles/{pair_id}",
        ]  # fmt: skip

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", "from cli.main import main; main()", "deploy", *words, *self._options]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "KUBECONFIG": str(self.folder / "kubeconfig")}
        environment.pop("MLFLOW_TRACKING_URI", None)
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment
        )

    def call(self, *words: str) -> tuple[int, str, str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=300)
        return process.returncode, out, err

    def stage(self) -> str:
        try:
            return str(self.world.state()["stage"])
        except KeyError:
            return ""


@pytest.fixture
def desk(registry: tuple[Path, list[str]], tmp_path: Path) -> Iterator[Desk]:
    world = World()
    world.api.schemas = crds.CRDS.is_dir()
    with kubernetes_api(world.api) as address, load_on(world):
        write_kubeconfig(tmp_path / "kubeconfig", address)
        yield Desk(world, tmp_path, registry[0])
    assert world.broken == []


@contextmanager
def load_on(world: World) -> Iterator[None]:
    stopped = threading.Event()

    def run() -> None:
        while not stopped.wait(0.05):
            with world.api.lock:
                world.time = time.time()
                world._request()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def test_versions_are_rolled_out_killed_resumed_and_returned(desk: Desk, registry: tuple[Path, list[str]]) -> None:
    one, two = registry[1]
    code, out, err = desk.call("1")
    assert code == 0, err
    assert f"pair {one}, version 1, serves" in out
    code, out, err = desk.call("@challenger", "--dry-run")
    assert code == 0, err
    assert f"name: covidctnet-{two}" in out
    assert f"+    - name: covidctnet-{two}-transformer" in out
    assert desk.world.pairs() == {one}

    killed = desk.start("@challenger")
    wait_for(lambda: desk.stage() == "shadow", 120)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert desk.world.route() == {one: 100}
    code, out, err = desk.call("@challenger", "--json")
    assert code == 0, err
    assert json.loads(out)["stage"] == "done"
    assert [line for line in err.splitlines() if line in {"prepare", "shadow", "canary 50 %", "full", "retire"}] == [
        "shadow", "canary 50 %", "full", "retire",
    ]  # fmt: skip
    assert desk.world.route() == {two: 100}
    assert desk.world.pairs() == {two}

    desk.world.behaviour[one] = Behaviour(status=500)
    code, out, err = desk.call("1")
    assert code == 3, err
    assert f"pair {two}, version 2, serves" in out
    assert "requests failed" in out
    code, _, err = desk.call("1")
    assert code == 3
    assert "was returned before" in err
    assert "Traceback" not in err
    assert desk.world.route() == {two: 100}
    assert desk.world.served["nobody"] == 0


def test_a_roll_out_is_ended_by_hand_while_another_process_is_at_it(
    desk: Desk, registry: tuple[Path, list[str]]
) -> None:
    one, _ = registry[1]
    assert desk.call("1")[0] == 0
    desk.world.behaviour = {}
    (desk.folder / "policy.yaml").write_text(
        yaml.safe_dump(QUICK | FAST | {"shadow": {"requests": 10_000, "seconds": 1, "patience_seconds": 600}})
    )
    running = desk.start("2")
    wait_for(lambda: desk.stage() == "shadow", 120)
    code, out, err = desk.call("--abort=alarm in radiology")
    assert code == 3, err
    assert "ended by hand: alarm in radiology" in out
    _, err = running.communicate(timeout=60)
    assert running.returncode == 3
    assert "RolloutConflictError" in err
    assert desk.world.route() == {one: 100}
    assert desk.world.pairs() == {one}
    assert desk.call("--abort=again")[0] == 3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "name a version"),
        (("1", "--abort=x"), "name a version"),
        (("1", "--template=absent"), "no template 'absent'"),
        (("1", "--policy=absent"), "no roll-out policy 'absent'"),
        (("9",), "TrackingError"),
        (("1", "--storage="), "where KServe cannot fetch it"),
        (("1", "--context=absent"), "no access to a cluster"),
    ],
)
def test_what_cannot_begin_is_refused_in_one_line(desk: Desk, words: tuple[str, ...], says: str) -> None:
    desk._options = [option for option in desk._options if not any(option[:8] == word[:8] for word in words)]
    code, _, err = desk.call(*words)
    assert code == 3, err
    assert len(err.strip().splitlines()) == 1, err
    assert says in err
    assert desk.world.route() == {}
