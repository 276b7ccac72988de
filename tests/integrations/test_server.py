"""Against a real MLflow server with PostgreSQL and S3, as a cluster has them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from covidctnet.bundle import Bundle, load_bundle
from covidctnet.errors import TrackingDeniedError
from covidctnet.labels import LABELS
from covidctnet.predictor import Predictor
from covidctnet.reading import read_volume
from infra.local.postgres import postgres_is_installed
from infra.local.seaweed import BUCKET, s3_client
from infra.local.service import listens
from infra.local.stack import LocalStack
from integrations.registry import fetch_bundle, register_bundle
from integrations.tracking import TrackingSettings, track_step
from integrations.tracking_client import make_client
from tests.helpers.series import make_files, zip_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not postgres_is_installed(), reason="PostgreSQL is not there: infra/local/install-debian.sh"),
]

ROOT = Path(__file__).parents[2]
ANSWER = """
import sys, warnings
warnings.simplefilter("ignore")
import mlflow
print(mlflow.pyfunc.load_model("models:/covidctnet/1").predict({"study": sys.argv[1]}).to_json(orient="records"))
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's own user can reach, as pytest's are not."""
    path = Path(tempfile.mkdtemp(prefix="covidctnet-stack-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def stack(folder: Path) -> Iterator[LocalStack]:
    with LocalStack(folder / "stack") as stack:
        yield stack


@pytest.fixture
def server(stack: LocalStack, tmp_path: Path) -> TrackingSettings:
    return TrackingSettings(
        stack.access.mlflow_uri, spool=str(tmp_path / "spool"), retry_seconds=120.0, system_metrics_seconds=1.0
    )


def test_a_bundle_is_tracked_registered_and_answers_though_the_server_stops_in_between(
    stack: LocalStack, server: TrackingSettings, bundle: Bundle, tmp_path: Path
) -> None:
    report, study = tmp_path / "report.html", tmp_path / "study.zip"
    report.write_text("<p>Research use only.</p>")
    study.write_bytes(zip_of(make_files()))
    with track_step("train classifier", run_key="key", settings=server, lineage={"data_version": "d"}) as tracker:
        tracker.log_params({"epochs": 2})
        stack.mlflow.kill()
        with ThreadPoolExecutor(1) as pool:
            logged = pool.submit(tracker.log_history, {"loss": [0.5, 0.25]})
            time.sleep(5.0)
            assert not logged.done()
            # Not from the other thread: a service ends with the thread that started it.
            stack.mlflow.start()
            logged.result()
        tracker.log_artifact(report)
    assert register_bundle(bundle.folder, run_key="key", settings=server, sites=["s1"]) == 1
    assert register_bundle(bundle.folder, run_key="key", settings=server, sites=["s1"]) == 1
    run = make_client(server).get_run(tracker.run_id)
    assert (run.info.status, run.data.params, run.data.metrics["loss"]) == ("FINISHED", {"epochs": "2"}, 0.25)
    assert any(name.startswith("system/") for name in run.data.metrics)
    assert not Path(server.spool).exists()

    objects = {item["Key"]: item["Size"] for item in s3_client(stack.access).list_objects_v2(Bucket=BUCKET)["Contents"]}
    assert any(
        key.endswith("/artifacts/report.html") and size == report.stat().st_size for key, size in objects.items()
    )
    for path in filter(Path.is_file, bundle.folder.rglob("*")):
        name = f"/data/bundle/{path.relative_to(bundle.folder).as_posix()}"
        assert [size for key, size in objects.items() if key.endswith(name)] == [path.stat().st_size]

    # The client has the server's address and no key of the artifact store.
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": server.uri}
    result = subprocess.run(
        [sys.executable, "-c", ANSWER, study],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=environment,
    )
    assert result.returncode == 0, result.stderr
    (answer,) = json.loads(result.stdout)
    expected = Predictor.load(bundle.folder).predict(read_volume(study)).probabilities
    np.testing.assert_allclose(
        [answer[name] for name in LABELS], [expected[name] for name in LABELS], rtol=0, atol=1e-6
    )
    fetched = fetch_bundle("models:/covidctnet/1", tmp_path / "fetched", settings=server)
    assert load_bundle(fetched).pair_id == bundle.pair_id


def test_a_wrong_password_names_the_address_and_no_secret(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "wr0ng-word")
    settings = TrackingSettings(stack.access.postgres_uri, spool=str(tmp_path))
    start = time.monotonic()
    with pytest.raises(TrackingDeniedError) as refusal, track_step("s", run_key="k", settings=settings):
        pass
    assert f"127.0.0.1:{stack.access.postgres_port}" in str(refusal.value)
    assert "wr0ng-word" not in str(refusal.value)
    assert time.monotonic() - start < 60.0


def test_secrets_are_for_their_owner_only(stack: LocalStack) -> None:
    for name in ("access.json", "client.env", "s3.json"):
        assert (stack.folder / name).stat().st_mode & 0o777 == 0o600
    assert not (stack.folder / "postgres.password").exists()
    secrets = {stack.access.postgres_password, stack.access.s3_secret}
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = command.read_text("utf-8", "replace")
        except OSError:
            continue
        assert not any(secret in text for secret in secrets)
    for log in stack.folder.glob("*.log"):
        assert not any(secret in log.read_text("utf-8", "replace") for secret in secrets)


def test_nothing_is_left_when_the_stack_is_killed(folder: Path) -> None:
    place = folder / "killed"
    process = subprocess.Popen(
        [sys.executable, "-m", "infra.local.stack", str(place)], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr
    assert "MLflow at" in process.stderr.readline()
    access = json.loads((place / "access.json").read_text())
    ports = [access[f"{name}_port"] for name in ("postgres", "s3", "mlflow")]
    assert all(map(listens, ports))
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    end = time.monotonic() + 60.0
    while (left := [port for port in ports if listens(port)]) and time.monotonic() < end:
        time.sleep(0.2)
    assert left == []
    assert _processes_in(place) == []


def _processes_in(folder: Path) -> list[str]:
    """Programs that still write or work in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder) in os.readlink(process / "cwd"):
                found.append((process / "cmdline").read_text("utf-8", "replace"))
        except OSError:
            continue
    return found
