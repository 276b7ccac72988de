"""`covidctnet model receive` as a service: the promotion log, a signed delivery, and a cluster that changes by it."""

import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from covidctnet.bundle import load_bundle
from covidctnet.promotion.log import PromotionLog
from covidctnet.promotion.moves import promote, rollback
from covidctnet.promotion.signing import make_keys
from integrations.aliases import PromotionSettings, open_log
from integrations.registry import register_bundle
from integrations.tracking_client import TrackingSettings
from integrations.webhook_inbox import Inbox
from tests.cli.test_commands import refused
from tests.cli.test_deploy import FAST, load_on
from tests.covidctnet.promotion.test_moves import POLICY, write_decision
from tests.helpers import crds
from tests.helpers.certificates import make_certificate
from tests.helpers.contest import write_model
from tests.helpers.hook_server import HookServer, hook_server
from tests.helpers.kubernetes_api import kubernetes_api, write_kubeconfig
from tests.helpers.promotion import make_report
from tests.helpers.rollout_world import QUICK, Behaviour, World
from tests.helpers.serving import ROOT, wait_for
from tests.integrations.test_registry_webhook import SECRET, delivery


@dataclass
class Desk:
    """A cluster under load, a registry with two versions, a promotion log, and who is told."""

    folder: Path
    world: World
    hook: HookServer
    pair_ids: list[str] = field(default_factory=list)
    port: int = 0
    path: str = ""

    @property
    def log(self) -> PromotionLog:
        places = {name: str(self.folder / name / f"{name}.db") for name in ("log", "heads")}
        return open_log(PromotionSettings(**places, key=str(self.folder / "key" / "key.pem")), writable=True)

    def set_up(self) -> None:
        make_certificate(self.folder / "tls")
        make_keys(self.folder / "key" / "key.pem")
        registry = TrackingSettings.embedded(self.folder)
        for name in ("one", "two"):
            bundle = write_model(self.folder / name, weights=name.encode())
            register_bundle(bundle, run_key=name, settings=registry)
            self.pair_ids.append(load_bundle(bundle).pair_id)
        self.write_policy()
        (self.folder / "notify.yaml").write_text(yaml.safe_dump({"webhooks": [{"url": self.hook.url}], "tries": 1}))

    def write_policy(self, **changes: Any) -> None:
        (self.folder / "policy.yaml").write_text(yaml.safe_dump(QUICK | FAST | changes))

    def promote(self, version: int) -> None:
        champion = self.log.read().aliases.champion
        decision = write_decision(
            self.folder / f"decision-{version}",
            make_report(self.pair_ids[version - 1]),
            make_report(champion) if champion else None,
        )
        promote(self.log, decision, policy=POLICY, who="ada", why="new site")

    @contextmanager
    def receiving(self) -> Iterator[subprocess.Popen[str]]:
        """The service while it listens, ended by SIGTERM unless the test killed it."""
        command = [sys.executable, "-c", "from cli.main import main; main()", "model", "receive", *options(self.folder)]
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "KUBECONFIG": str(self.folder / "kubeconfig"),
            "COVIDCTNET_REGISTRY_WEBHOOK_SECRET": SECRET,
            "COVIDCTNET_WEBHOOK_SECRET": SECRET,
            "COVIDCTNET_NOTIFY": str(self.folder / "notify.yaml"),
        }
        with subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True) as server:
            try:
                assert server.stderr is not None
                address = urlsplit(server.stderr.readline().strip())
                self.port, self.path = address.port or 0, address.path
                yield server
            finally:
                server.send_signal(signal.SIGTERM)
                rest = server.communicate(timeout=60)[1]
        assert server.returncode in {0, -signal.SIGKILL}, rest

    def deliver(self, version: int, identifier: str) -> int:
        """What MLflow sends once the alias is set."""
        context = ssl.create_default_context(cafile=str(self.folder / "tls" / "certificate.pem"))
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=context)
        try:
            headers, body = delivery(str(version), identifier=identifier, at=time.time())
            connection.request("POST", self.path, body, headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def settle(self) -> list[tuple[str, str]]:
        """Outcomes, once nothing waits and everyone was told."""
        inbox = Inbox(self.folder / "inbox.db")
        wait_for(lambda: all(outcome for _, outcome in inbox.outcomes()), 120)
        return inbox.outcomes()

    def told(self) -> list[tuple[str, int]]:
        notices = [json.loads(body) for _, body in self.hook.took]
        return [(notice["event"], notice["model_version"]) for notice in notices]

    def stage(self) -> str:
        return str(self.world.state()["stage"]) if "covidctnet-rollout" in self.world.api.of("configmaps") else ""


def options(folder: Path) -> list[str]:
    certificate, key = folder / "tls" / "certificate.pem", folder / "tls" / "key.pem"
    return [
        "--certificate", str(certificate), "--certificate-key", str(key), "--port", "0",
        "--inbox", str(folder / "inbox.db"), "--log", str(folder / "log" / "log.db"),
        "--heads", str(folder / "heads" / "heads.db"), "--key", str(folder / "key" / "key.pem"),
        "--tracking", f"sqlite:///{folder / 'mlflow.db'}", "--gateway", "gateways/hospital",
        "--policy", str(folder / "policy.yaml"), "--storage", "s3://bundles/{pair_id}",
    ]  # fmt: skip


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    world = World()
    world.api.schemas = crds.CRDS.is_dir()
    with kubernetes_api(world.api) as address, load_on(world), hook_server() as hook:
        write_kubeconfig(tmp_path / "kubeconfig", address)
        made = Desk(tmp_path, world, hook)
        made.set_up()
        yield made
    assert world.broken == []
    assert world.served["nobody"] == 0


@pytest.mark.slow
@pytest.mark.long
def test_promotions_are_rolled_out_once_also_by_a_receiver_that_was_killed_and_a_rollback_goes_at_once(
    desk: Desk,
) -> None:
    one, two = desk.pair_ids
    desk.promote(1)
    with desk.receiving() as server:
        # Version 2 was never promoted: its alias was set by somebody who may write to the registry.
        assert desk.deliver(2, "d1") == 202
        assert desk.deliver(1, "d2") == 202
        assert desk.settle() == [("2", "not confirmed"), ("1", "rolled out")]
        assert (desk.world.route(), desk.world.pairs()) == ({one: 100}, {one})
        desk.promote(2)
        assert desk.deliver(2, "d3") == 202
        wait_for(lambda: desk.stage() == "shadow", 120)
        server.kill()
    assert desk.world.route() == {one: 100}
    with desk.receiving():
        assert desk.settle()[-1] == ("2", "rolled out")
        assert (desk.world.route(), desk.world.pairs(), desk.stage()) == ({two: 100}, {two}, "done")
        version = desk.world.api.version
        assert desk.deliver(2, "d3") == 200
        # Another delivery of the same news looks, and moves nothing that serves.
        assert desk.deliver(2, "d4") == 202
        assert desk.settle()[-1] == ("2", "rolled out")
        moved = {key[0] for number, _, key, _ in desk.world.api.events if number > version}
        assert moved <= {"configmaps"}
        rollback(desk.log, who="ada", why="alarm")
        assert desk.deliver(1, "d5") == 202
        assert desk.settle()[-1] == ("1", "rolled out")
        assert desk.world.route() == {one: 100}
        assert desk.world.state()["policy"]["shadow"] is None
    assert desk.told() == [("not_live", 2), ("live", 1), ("live", 2), ("live", 2), ("live", 1)]


@pytest.mark.slow
def test_a_rollback_ends_a_roll_out_under_way(desk: Desk) -> None:
    one, _ = desk.pair_ids
    desk.promote(1)
    with desk.receiving():
        assert desk.deliver(1, "d1") == 202
        desk.settle()
        desk.write_policy(shadow={"requests": 100_000, "seconds": 0.5, "patience_seconds": 600})
        desk.promote(2)
        assert desk.deliver(2, "d2") == 202
        wait_for(lambda: desk.stage() == "shadow", 120)
        rollback(desk.log, who="ada", why="alarm")
        assert desk.deliver(1, "d3") == 202
        assert desk.settle() == [("1", "rolled out"), ("2", "overtaken"), ("1", "rolled out")]
        assert (desk.world.route(), desk.world.pairs()) == ({one: 100}, {one})
    assert desk.told() == [("live", 1), ("live", 1)]


@pytest.mark.slow
def test_a_roll_out_that_went_back_is_told_with_its_reasons(desk: Desk) -> None:
    one, two = desk.pair_ids
    desk.world.behaviour[two] = Behaviour(status=500)
    desk.promote(1)
    with desk.receiving():
        assert desk.deliver(1, "d1") == 202
        desk.settle()
        desk.promote(2)
        assert desk.deliver(2, "d2") == 202
        assert desk.settle()[-1] == ("2", "returned")
        assert (desk.world.route(), desk.world.pairs()) == ({one: 100}, {one})
    assert desk.told() == [("live", 1), ("returned", 2)]
    notice = json.loads(desk.hook.took[-1][1])
    assert "requests failed" in notice["reasons"][0]
    assert "--again" in notice["next_step"]


def test_a_receiver_that_could_not_roll_out_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("COVIDCTNET_REGISTRY_WEBHOOK_SECRET", raising=False)
    make_certificate(tmp_path / "tls")
    make_keys(tmp_path / "key" / "key.pem")
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(QUICK))
    write_kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:1")
    call = ("model", "receive", *options(tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    assert "no access to a cluster" in refused(*call)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    assert "16 characters" in refused(*call)
    monkeypatch.setenv("COVIDCTNET_REGISTRY_WEBHOOK_SECRET", SECRET)
    assert "name the Gateway" in refused(*(word if word != "gateways/hospital" else "" for word in call))
    (tmp_path / "policy.yaml").write_text("name: 1")
    assert "policy" in refused(*call)
