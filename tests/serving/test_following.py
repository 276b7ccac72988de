"""`covidctnet serve --follow`: pairs change under load, fail in their warm-up, and end with their supervisor."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from integrations.registry import register_bundle
from integrations.tracking_client import TrackingSettings, make_client
from tests.cli.test_commands import refused
from tests.helpers.serving import ROOT, ZIP, wait_for
from tests.helpers.two_pairs import TwoPairs, break_classifier, load_on, make_two_pairs
from tests.serving.test_serve_command import serving

pytestmark = pytest.mark.slow

SETTINGS = """
admission: {grpc_connection_seconds: 2}
follow: {poll_seconds: 0.2, retry_seconds: 1, max_retry_seconds: 1}
"""

SetAlias = Callable[[str], None]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> TwoPairs:
    return make_two_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="module")
def registry(pairs: TwoPairs, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrackingSettings, SetAlias]:
    """MLflow with both pairs, and a function that makes one the champion."""
    settings = TrackingSettings.embedded(tmp_path_factory.mktemp("registry"))
    versions = {
        pair_id: register_bundle(bundle.folder, run_key=pair_id, settings=settings)
        for pair_id, bundle in pairs.bundles.items()
    }
    client = make_client(settings)

    def set_alias(pair_id: str) -> None:
        client.set_registered_model_alias(settings.model, "champion", str(versions[pair_id]))

    return settings, set_alias


@pytest.fixture
def options(registry: tuple[TrackingSettings, SetAlias], tmp_path: Path) -> list[str]:
    (tmp_path / "settings.yaml").write_text(SETTINGS)
    return ["--follow=champion", f"--tracking-uri={registry[0].uri}", f"--settings={tmp_path / 'settings.yaml'}"]


def halves(supervisor: int, name: str) -> list[psutil.Process]:
    """Transformers or predictors of a supervisor."""
    found = []
    for child in psutil.Process(supervisor).children():
        try:
            if f"serving.{name}" in child.cmdline():
                found.append(child)
        except psutil.Error:
            continue
    return found


def events(log: Path, name: str) -> list[dict[str, str]]:
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == name]


def ask_pair(url: str, pairs: TwoPairs) -> str:
    answer = httpx.post(f"{url}/v1/studies", content=pairs.studies[0], headers=ZIP, timeout=60)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["pair_id"])


def test_the_pair_changes_and_changes_back_without_a_failed_or_a_mixed_answer(
    pairs: TwoPairs, registry: tuple[TrackingSettings, SetAlias], options: list[str], tmp_path: Path
) -> None:
    a, b = pairs.ids
    set_alias = registry[1]
    set_alias(a)
    with serving(tmp_path, *options) as (serve, url, said):
        (grpc_address,) = re.findall(r"gRPC (\S+)", said)
        with load_on(url, pairs, grpc_address=grpc_address) as load:
            load.wait_for(a)
            for pair_id in (b, a):
                set_alias(pair_id)
                load.wait_for(pair_id)
                # The old pair stops once its last client has gone.
                wait_for(lambda: len(halves(serve.pid, "transformer")) == 1, 120)
                load.wait_for(pair_id)
        load.check(pairs)
        assert load.counts()[a] >= 10
        assert load.counts()[b] >= 10
        ways = {line["protocol"] for line in events(tmp_path / "log", "request")}
        assert ways == {"plain", "grpc"}
        wait_for(lambda: len(halves(serve.pid, "predictor")) == 1, 60)
    changes = [(line["before"], line["pair_id"]) for line in events(tmp_path / "log", "pair changed")]
    assert changes == [(a, b), (b, a)]


@pytest.mark.long
@pytest.mark.parametrize("half", ["transformer", "predictor"])
def test_a_new_pair_that_is_killed_in_its_warm_up_leaves_the_old_one_serving_and_is_tried_again(
    pairs: TwoPairs, registry: tuple[TrackingSettings, SetAlias], options: list[str], tmp_path: Path, half: str
) -> None:
    a, b = pairs.ids
    set_alias = registry[1]
    set_alias(a)
    with serving(tmp_path, *options) as (serve, url, _), load_on(url, pairs) as load:
        (old,) = halves(serve.pid, half)
        set_alias(b)
        # The other half is there or not: a transformer rehearses against its predictor.
        wait_for(lambda: len(halves(serve.pid, "transformer")) == 2, 60)
        (new,) = [child for child in halves(serve.pid, half) if child.pid != old.pid]
        new.kill()
        wait_for(lambda: bool(events(tmp_path / "log", "pair failed, the old one stays")), 180)
        failed = events(tmp_path / "log", "pair failed, the old one stays")[0]
        assert (failed["pair_id"], failed["serving"]) == (b, a)
        assert load.counts()[b] == 0
        load.wait_for(b, more=2)
        load.stopped.set()
        load.check(pairs)
        assert ask_pair(url, pairs) == b


@pytest.mark.long
def test_a_bundle_whose_classifier_cannot_be_loaded_never_gets_a_request(
    pairs: TwoPairs, registry: tuple[TrackingSettings, SetAlias], options: list[str], tmp_path: Path
) -> None:
    a, _ = pairs.ids
    settings, set_alias = registry
    broken = break_classifier(pairs.bundles[a], tmp_path / "broken")
    version = register_bundle(broken.folder, run_key="broken", settings=settings)
    set_alias(a)
    with serving(tmp_path, *options) as (serve, url, _), load_on(url, pairs) as load:
        make_client(settings).set_registered_model_alias(settings.model, "champion", str(version))
        wait_for(lambda: len(events(tmp_path / "log", "pair failed, the old one stays")) >= 2, 240)
        load.wait_for(a)
        load.stopped.set()
        load.check(pairs)
        assert set(load.counts()) == {a}
        set_alias(a)
        wait_for(lambda: len(halves(serve.pid, "transformer")) == 1, 60)


@contextmanager
def supervised(folder: Path, options: list[str]) -> Iterator[subprocess.Popen[str]]:
    """`covidctnet serve` once it answers, which the test kills."""
    command = [sys.executable, "-c", "from cli.main import main; main()", "serve", *options]
    with (folder / "log").open("w") as log:
        serve = subprocess.Popen(
            [*command, "--port=0", "--grpc-port=0", "--no-auth"], stdout=log, stderr=log, cwd=ROOT, text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder)},
        )  # fmt: skip
    try:
        wait_for(lambda: "Ctrl-C" in (folder / "log").read_text(), 120)
        yield serve
    finally:
        serve.kill()
        serve.wait()


@pytest.mark.long
def test_nothing_is_left_of_either_pair_when_the_supervisor_is_killed_in_a_change(
    pairs: TwoPairs, registry: tuple[TrackingSettings, SetAlias], options: list[str], tmp_path: Path
) -> None:
    a, b = pairs.ids
    registry[1](a)
    with supervised(tmp_path, options) as serve:
        registry[1](b)
        wait_for(lambda: len(halves(serve.pid, "transformer")) == 2, 60)
        children = psutil.Process(serve.pid).children()
        assert len(children) == 4
        serve.kill()
        serve.wait()
        wait_for(lambda: not any(child.is_running() for child in children), 60)


@pytest.mark.long
def test_a_registry_that_is_away_changes_nothing(
    pairs: TwoPairs, registry: tuple[TrackingSettings, SetAlias], options: list[str], tmp_path: Path
) -> None:
    a, _ = pairs.ids
    settings, set_alias = registry
    set_alias(a)
    with serving(tmp_path, *options) as (_, url, _):
        make_client(settings).delete_registered_model_alias(settings.model, "champion")
        wait_for(lambda: bool(events(tmp_path / "log", "the alias cannot be followed")), 30)
        time.sleep(1)
        assert len(events(tmp_path / "log", "the alias cannot be followed")) == 1
        assert ask_pair(url, pairs) == a


def test_following_leaves_no_choice_of_bundle() -> None:
    assert "leave --bundle and --model away" in refused("serve", "--no-auth", "--follow=champion", "--bundle=x")
