"""The serving pair as two containers that reach nothing but each other, asked for a real study."""

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from covidctnet.bundle import load_bundle
from covidctnet.predictor import Predictor
from covidctnet.reading import read_volume
from serving.tokens import hash_token
from tests.helpers.components_run import ComponentsRun
from tests.helpers.containers import engine, hardened, make_readable

TOKEN = "a-long-random-token"

ASK = """
import sys, urllib.error, urllib.request
address, token, study = sys.argv[1:4]
headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/zip"}
data = open(study, "rb").read() if study else None
try:
    answer = urllib.request.urlopen(urllib.request.Request(address, data=data, headers=headers), timeout=300)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status)
print(answer.read().decode())
"""
"""A client with nothing but Python, since the containers have no network of this machine."""


@dataclass(frozen=True)
class Pair:
    """Two containers that share one network without any interface but loopback."""

    predictor: str
    transformer: str

    def ask(self, path: str, study: str = "", token: str = TOKEN) -> tuple[int, str]:
        """Status and body of a request that is made inside of their network."""
        command = ["python", "-c", ASK, f"http://127.0.0.1:8080{path}", token, study]
        result = engine("exec", self.transformer, *command, check=False)
        assert result.returncode == 0, result.stderr + engine("logs", self.transformer, check=False).stderr
        status, _, body = result.stdout.partition("\n")
        return int(status), body

    def is_ready(self) -> bool:
        """Whether both answer."""
        result = engine("exec", self.transformer, "python", "-c", ASK, "http://127.0.0.1:8080/v2/health/ready", "", "",
                        check=False)  # fmt: skip
        return result.stdout.startswith("200")


@pytest.fixture(scope="module")
def shared_folder(components_run: ComponentsRun, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What both mount: the bundle, tokens, and studies."""
    folder = tmp_path_factory.mktemp("pair")
    shutil.copytree(components_run.path("evaluated"), folder / "bundle")
    bundle = load_bundle(folder / "bundle")
    (folder / "models").mkdir()
    (folder / "models" / str(bundle.serving_version)).symlink_to("/mnt/pair/bundle/classifier")
    (folder / "tokens").write_text(f"tests:{hash_token(TOKEN)}\n")
    shutil.copytree(shared_data / "series", folder / "series")
    make_readable(folder)
    return folder


@pytest.fixture(scope="module")
def pair(transformer_image: str, predictor_image: str, shared_folder: Path) -> Iterator[Pair]:
    mount = f"--volume={shared_folder}:/mnt/pair:ro"
    started: list[str] = []

    def run(*arguments: str, network: str = "none") -> None:
        started.append(engine("run", "--detach", *hardened(network=network), mount, *arguments).stdout.strip())

    try:
        run(predictor_image, "--model_base_path=/mnt/pair/models")
        flags = ("--bundle=/mnt/pair/bundle", "--predictor_host=127.0.0.1:8500", "--host=0.0.0.0")
        access = ("--tokens=/mnt/pair/tokens", "--spool=/spool")
        spool = ("--tmpfs", "/spool:rw,mode=1777")
        run(*spool, transformer_image, *flags, *access, network=f"container:{started[0]}")
        found = Pair(*started)
        deadline = time.monotonic() + 120
        while not found.is_ready():
            logs = [engine("logs", name, check=False).stderr[-1500:] for name in started]
            assert time.monotonic() < deadline, logs
            time.sleep(0.5)
        yield found
    finally:
        for name in reversed(started):
            engine("rm", "--force", "--time", "20", name, check=False)


@pytest.mark.real_data
@pytest.mark.parametrize("series", ["covid-a", "control-a"])
def test_a_real_study_is_answered_as_offline(
    pair: Pair, components_run: ComponentsRun, shared_data: Path, series: str
) -> None:
    offline = Predictor.load(components_run.path("evaluated"))
    study = (shared_data / "series" / f"{series}.zip").read_bytes()
    expected: dict[str, Any] = json.loads(offline.predict(read_volume(study, offline.bundle.config.reader)).to_json())
    status, body = pair.ask("/v1/studies", f"/mnt/pair/series/{series}.zip")
    answer = json.loads(body)
    assert status == 200
    assert {name: answer[name] for name in expected} == expected


@pytest.mark.real_data
def test_a_head_is_refused_with_its_reason(pair: Pair) -> None:
    status, body = pair.ask("/v1/studies", "/mnt/pair/series/head-tilted.zip")
    assert status == 422
    assert json.loads(body)["code"]


@pytest.mark.real_data
def test_nobody_is_answered_without_a_token(pair: Pair) -> None:
    # Not a study: the refusal comes before its last byte is sent, which this small client takes for a broken line.
    assert pair.ask("/v1/models/covidctnet", token="another")[0] == 401
    assert pair.ask("/v1/models/covidctnet")[0] == 200


@pytest.mark.real_data
def test_the_image_s_health_check_tells_health(pair: Pair) -> None:
    for name in (pair.predictor, pair.transformer):
        (facts,) = json.loads(engine("container", "inspect", name).stdout)
        (image,) = json.loads(engine("image", "inspect", facts["Image"]).stdout)
        # podman has it beside the configuration, under a name that changed, and docker within.
        check = image.get("HealthCheck") or image.get("Healthcheck") or image["Config"]["Healthcheck"]
        assert check["Test"][0] == "CMD"
        assert engine("exec", name, *check["Test"][1:]).returncode == 0


@pytest.mark.real_data
def test_the_transformer_ends_in_order(pair: Pair) -> None:
    engine("stop", "--time", "60", pair.transformer)
    (facts,) = json.loads(engine("container", "inspect", pair.transformer).stdout)
    assert facts["State"]["ExitCode"] == 0
