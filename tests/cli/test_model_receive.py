"""`covidctnet model receive` as a service: a promotion in the log, a delivery of MLflow, a command that is called."""

import http.client
import os
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from covidctnet.promotion.moves import promote
from covidctnet.promotion.signing import make_keys
from integrations.aliases import PromotionSettings, open_log
from integrations.registry import register_bundle
from integrations.tracking_client import TrackingSettings
from tests.cli.test_commands import refused
from tests.covidctnet.promotion.test_moves import POLICY, write_decision
from tests.helpers.bundles import untrained_bundle
from tests.helpers.certificates import make_certificate
from tests.helpers.promotion import make_report
from tests.integrations.test_registry_webhook import SECRET, delivery

ROOT = Path(__file__).parents[2]


def options(folder: Path) -> list[str]:
    certificate, key = folder / "tls" / "certificate.pem", folder / "tls" / "key.pem"
    return [
        "--certificate", str(certificate), "--certificate-key", str(key), "--port", "0",
        "--inbox", str(folder / "inbox.db"), "--log", str(folder / "log" / "log.db"),
        "--heads", str(folder / "heads" / "heads.db"), "--key", str(folder / "key" / "key.pem"),
        "--tracking", f"sqlite:///{folder / 'mlflow.db'}",
    ]  # fmt: skip


def test_a_promotion_in_the_log_is_rolled_out_and_an_alias_beside_it_is_not(tmp_path: Path) -> None:
    certificate, _ = make_certificate(tmp_path / "tls")
    make_keys(tmp_path / "key" / "key.pem")
    settings = TrackingSettings.embedded(tmp_path)
    first, second = (untrained_bundle(tmp_path / f"bundle-{seed}", seed=seed) for seed in (0, 1))
    for bundle in (first, second):
        register_bundle(bundle.folder, run_key="key", settings=settings)
    places = PromotionSettings(
        log=str(tmp_path / "log" / "log.db"), heads=str(tmp_path / "heads" / "heads.db"),
        key=str(tmp_path / "key" / "key.pem"),
    )  # fmt: skip
    decision = write_decision(tmp_path / "decision", make_report(second.pair_id), None)
    promote(open_log(places, writable=True), decision, policy=POLICY, who="ada", why="start")

    target = tmp_path / "called"
    append = f"open({str(target)!r}, 'a').write('{{version}};')"
    command = [
        sys.executable, "-c", "from cli.main import main; main()", "model", "receive", *options(tmp_path),
        "--", sys.executable, "-c", append,
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COVIDCTNET_REGISTRY_WEBHOOK_SECRET": SECRET}
    with subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            address = urlsplit(server.stderr.readline().strip())
            context = ssl.create_default_context(cafile=str(certificate))
            # Version 1 was never promoted: its alias was set by somebody who may write to the registry.
            for number, version in enumerate(("1", "2")):
                connection = http.client.HTTPSConnection("127.0.0.1", address.port or 0, timeout=20, context=context)
                headers, body = delivery(version, identifier=f"d{number}", at=time.time())
                connection.request("POST", address.path, body, headers)
                assert connection.getresponse().status == 202
                connection.close()
            end = time.monotonic() + 60
            while not target.is_file():
                assert time.monotonic() < end
                assert server.poll() is None
                time.sleep(0.05)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
    assert server.returncode == 0
    assert target.read_text() == "2;"


def test_a_receiver_without_a_secret_or_a_version_to_hand_on_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("COVIDCTNET_REGISTRY_WEBHOOK_SECRET", raising=False)
    make_certificate(tmp_path / "tls")
    make_keys(tmp_path / "key" / "key.pem")
    call = ("model", "receive", *options(tmp_path), "--", "deploy")
    assert "16 characters" in refused(*call, "{version}")
    monkeypatch.setenv("COVIDCTNET_REGISTRY_WEBHOOK_SECRET", SECRET)
    assert "must hold {version}" in refused(*call)
