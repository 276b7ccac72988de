"""`covidctnet serve` and its processes: what they serve, how they end, and what they leave behind."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from integrations.registry import register_bundle
from integrations.tracking import TrackingSettings
from integrations.tracking_client import make_client, quiet_imports
from tests.cli.test_commands import refused
from tests.helpers.serving import (
    ROOT,
    ZIP,
    Process,
    post,
    start_transformer,
    wait_for,
)
from tests.serving.conftest import Known
from tests.serving.test_parity import assert_same

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """`covidctnet serve` once it answers: the process, its address, and what it printed."""
    temporary = folder / "temporary"
    temporary.mkdir()
    command = [sys.executable, "-c", "from cli.main import main; main()", "serve", *options]
    with (folder / "log").open("w") as log:
        serve = subprocess.Popen(
            [*command, "--port=0", "--grpc-port=0", "--no-auth"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)},
        )
    assert serve.stdout is not None
    lines: list[str] = []
    try:
        while not any("Ctrl-C" in line for line in lines):
            lines.append(serve.stdout.readline())
            assert lines[-1], (folder / "log").read_text()
        said = "".join(lines)
        (url,) = re.findall(r"POST (http://\S+)/v1/studies", said)
        yield serve, url, said
        children = psutil.Process(serve.pid).children()
    finally:
        serve.terminate()
        rest, _ = serve.communicate(timeout=60)
    assert serve.returncode == 0
    assert "stopped" in rest
    assert not [child for child in children if child.is_running()]
    assert list(temporary.iterdir()) == []


def ask(url: str, study: Known) -> httpx.Response:
    return httpx.post(f"{url}/v1/studies", content=study.data, headers=ZIP, timeout=60)


def test_serve_keeps_to_its_pair_when_the_bundle_is_replaced_and_the_predictor_ends(
    served_bundle: Path, other_bundle: Path, studies: list[Known], tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(served_bundle, bundle)
    with serving(tmp_path, f"--bundle={bundle}") as (serve, url, _):
        assert_same(ask(url, studies[0]).json(), studies[0].answer)
        # As training does it.
        shutil.rmtree(bundle)
        shutil.copytree(other_bundle, bundle)
        (predictor,) = [
            child for child in psutil.Process(serve.pid).children() if "serving.predictor" in child.cmdline()
        ]
        predictor.kill()
        wait_for(lambda: ask(url, studies[1]).status_code == 200, 60)
        assert_same(ask(url, studies[1]).json(), studies[1].answer)
        assert len(psutil.Process(serve.pid).children()) == 2


def test_the_champion_is_served_and_answers_as_mlflow_s_own_model_does(
    served_bundle: Path, studies: list[Known], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracking = TrackingSettings.embedded(tmp_path)
    version = register_bundle(served_bundle, run_key="r1", settings=tracking)
    make_client(tracking).set_registered_model_alias(tracking.model, "champion", str(version))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.uri)
    with quiet_imports():
        import mlflow.pyfunc

        model = mlflow.pyfunc.load_model(f"models:/{tracking.model}@champion")
    path = tmp_path / "study.zip"
    with serving(tmp_path, "--model=models:/covidctnet@champion", f"--tracking-uri={tracking.uri}") as (_, url, said):
        assert f"models:/covidctnet/{version}" in said
        for study in studies:
            path.write_bytes(study.data)
            (row,) = model.predict({"study": str(path)}).to_dict("records")
            assert_same(ask(url, study).json(), json.loads(row["answer"]))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--bundle=x", "--model=@champion"], "either --bundle or --model"),
        (["--model=nonsense:/x", "--workspace=absent"], "no mlflow.db"),
    ],
)
def test_a_wrong_choice_of_model_is_refused_in_one_line(options: list[str], says: str) -> None:
    assert says in refused("serve", "--no-auth", *options)


def test_servers_end_when_their_supervisor_was_killed(served_bundle: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from cli.main import main; main()", "serve", f"--bundle={served_bundle}"]
    with (tmp_path / "log").open("w") as log:
        serve = subprocess.Popen(
            [*command, "--port=0", "--grpc-port=0", "--no-auth"], stdout=log, stderr=log, cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    wait_for(lambda: "Ctrl-C" in (tmp_path / "log").read_text(), 120)
    children = psutil.Process(serve.pid).children()
    serve.kill()
    serve.wait()
    wait_for(lambda: not any(child.is_running() for child in children))


def test_studies_of_a_killed_transformer_are_removed_at_the_next_start(
    served_bundle: Path, predictor: Process, studies: list[Known], tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    first = start_transformer(served_bundle, predictor.grpc, tmp_path / "log", f"--spool={spool}")
    (left,) = spool.iterdir()
    (left / "study").write_bytes(studies[0].data)
    first.stop(signal.SIGKILL)
    assert (left / "study").exists()
    second = start_transformer(served_bundle, predictor.grpc, tmp_path / "log", f"--spool={spool}")
    assert not left.exists()
    assert second.stop() == 0
    assert list(spool.iterdir()) == []


def test_uploads_that_stop_half_way_leave_nothing_behind(server: Process, studies: list[Known]) -> None:
    def leave() -> None:
        with socket.create_connection(("127.0.0.1", server.ports["http"])) as client:
            client.sendall(
                b"POST /v1/studies HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/zip\r\n"
                b"content-length: 900000\r\n\r\n" + studies[0].data[:50_000]
            )

    threads = [threading.Thread(target=leave) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_same(post(server, studies[0].data).json(), studies[0].answer)
