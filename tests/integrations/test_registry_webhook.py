"""The receiver of MLflow's registry webhooks: MLflow's own sender against it, and everything that must not get in."""

import base64
import contextlib
import http.client
import json
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from covidctnet.errors import ConfigError, PipelineError, WebhookRefusedError
from integrations.registry_webhook import RegistryWebhook, WebhookSettings, run_command
from integrations.webhook_inbox import Inbox
from integrations.webhook_server import serve_webhook
from integrations.webhook_signatures import MLFLOW, STANDARD, sign, verify
from tests.helpers.certificates import make_certificate

SECRET = "a-secret-of-the-registry"


class Desk:
    """A receiver under test, with what it called."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.folder, self.called, self.confirmed = folder, [], {"7", "8"}
        self.certificate, self.key = make_certificate(folder / "tls")
        self.now, self.release = 1_000_000.0, threading.Event()
        self.release.set()
        self.settings = WebhookSettings(**{"secrets": [SECRET], "wait_seconds": 0.0, **changes})
        self.port = 0

    def receiver(self, roll_out: Callable[[str], None] | None = None) -> RegistryWebhook:
        return RegistryWebhook(
            self.settings,
            Inbox(self.folder / "inbox.db"),
            roll_out=roll_out or self.roll_out,
            confirm=lambda version: version in self.confirmed,
            clock=lambda: self.now,
        )

    def roll_out(self, version: str) -> None:
        self.release.wait(30)
        self.called.append(version)

    def outcomes(self) -> list[tuple[str, str]]:
        return Inbox(self.folder / "inbox.db").outcomes()

    def settled(self) -> list[tuple[str, str]]:
        """Outcomes, once nothing waits."""
        end = time.monotonic() + 30
        while any(not outcome for _, outcome in self.outcomes()):
            assert time.monotonic() < end
            time.sleep(0.01)
        return self.outcomes()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def listening(desk: Desk) -> Iterator[Desk]:
    with serve_webhook(desk.receiver(), host="127.0.0.1", port=0, certificate=desk.certificate, key=desk.key) as port:
        desk.port = port
        yield desk


def delivery(
    version: object = "7", *, identifier: str = "d1", at: float = 1_000_000.0, secret: str = SECRET, **changes: Any
) -> tuple[dict[str, str], bytes]:
    data = {"name": "covidctnet", "alias": "champion", "version": version}
    body = json.dumps({"entity": "model_version_alias", "action": "created", "data": data, **changes}).encode()
    stamp = str(int(at))
    signature = sign(secret, identifier, stamp, body)
    return {MLFLOW.identifier: identifier, MLFLOW.timestamp: stamp, MLFLOW.signature: signature}, body


def post(desk: Desk, headers: dict[str, str], body: bytes, path: str = "/registry", method: str = "POST") -> int:
    context = ssl.create_default_context(cafile=str(desk.certificate))
    connection = http.client.HTTPSConnection("127.0.0.1", desk.port, timeout=10, context=context)
    try:
        connection.request(method, path, body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_what_mlflow_sends_becomes_one_roll_out(listening: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    import requests
    from mlflow.entities.webhook import Webhook, WebhookAction, WebhookEntity, WebhookEvent
    from mlflow.webhooks.delivery import _send_webhook_request

    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
    listening.now = time.time()
    event = WebhookEvent(WebhookEntity.MODEL_VERSION_ALIAS, WebhookAction.CREATED)

    def hook(secret: str) -> Webhook:
        address = f"https://127.0.0.1:{listening.port}/registry"
        times = {"creation_timestamp": 0, "last_updated_timestamp": 0}
        return Webhook(webhook_id="1", name="serving", url=address, events=[event], secret=secret, **times)

    payload = {"name": "covidctnet", "alias": "champion", "version": "7"}
    with requests.Session() as session:
        session.trust_env, session.verify = False, str(listening.certificate)
        assert _send_webhook_request(hook(SECRET), payload, event, session).status_code == 202
        challenger = {**payload, "alias": "challenger"}
        assert _send_webhook_request(hook(SECRET), challenger, event, session).status_code == 204
        assert _send_webhook_request(hook("another-secret-than-ours"), payload, event, session).status_code == 401
    assert listening.settled() == [("7", "rolled out")]
    assert listening.called == ["7"]


def test_a_delivery_that_comes_again_does_nothing_and_says_so(listening: Desk) -> None:
    assert [post(listening, *delivery()) for _ in range(3)] == [202, 200, 200]
    listening.settled()
    assert listening.called == ["7"]


def test_an_old_delivery_is_refused_even_when_its_identifier_is_forgotten(desk: Desk) -> None:
    receiver, sent = desk.receiver(), delivery()
    assert receiver.take(*sent) == 202
    (number, _) = Inbox(desk.folder / "inbox.db").newest() or (0, "")
    Inbox(desk.folder / "inbox.db").finish(number, "rolled out")
    for later, status in ((299, 200), (301, 401), (2000, 401)):
        desk.now = 1_000_000.0 + later
        assert receiver.take(*sent) == status
    # Forgotten by another delivery's arrival, it is too old by far.
    assert receiver.take(*delivery("8", identifier="d2", at=desk.now)) == 202
    assert [version for version, _ in desk.outcomes()] == ["8"]
    assert receiver.take(*sent) == 401
    desk.now = 1_000_000.0 - 301
    assert receiver.take(*delivery(identifier="d3")) == 401


@pytest.mark.parametrize(
    "spoil",
    [
        lambda headers, body: ({**headers, MLFLOW.signature: "v1," + base64.b64encode(b"0" * 32).decode()}, body),
        lambda headers, body: ({**headers, MLFLOW.signature: "v1,ä"}, body),
        lambda headers, body: ({**headers, MLFLOW.signature: ""}, body),
        lambda headers, body: ({**headers, MLFLOW.timestamp: "1000001"}, body),
        lambda headers, body: ({**headers, MLFLOW.timestamp: "now"}, body),
        lambda headers, body: ({**headers, MLFLOW.identifier: "another"}, body),
        lambda headers, body: ({**headers, MLFLOW.identifier: ""}, body),
        lambda headers, body: (headers, body.replace(b'"7"', b'"8"')),
        lambda headers, body: ({}, body),
    ],
)
def test_what_is_not_signed_as_it_stands_is_refused(desk: Desk, spoil: Any) -> None:
    assert desk.receiver().take(*spoil(*delivery())) == 401
    assert desk.outcomes() == []


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"entity": "registered_model"}, 204),
        ({"action": "deleted"}, 204),
        ({"data": {"name": "another", "alias": "champion", "version": "7"}}, 204),
        ({"data": {"name": "covidctnet", "alias": "champion", "version": "7; rm"}}, 400),
        ({"data": {"name": "covidctnet", "alias": "champion", "version": None}}, 400),
        ({"data": []}, 400),
    ],
)
def test_what_is_about_something_else_changes_nothing(desk: Desk, changes: dict[str, Any], status: int) -> None:
    assert desk.receiver().take(*delivery(**changes)) == status
    assert desk.outcomes() == []


def test_an_alias_that_the_promotion_log_does_not_confirm_is_not_rolled_out(listening: Desk) -> None:
    listening.confirmed.clear()
    assert post(listening, *delivery()) == 202
    assert listening.settled() == [("7", "not confirmed")]
    assert listening.called == []


def test_of_several_that_wait_the_newest_counts(listening: Desk) -> None:
    listening.release.clear()
    assert post(listening, *delivery("7", identifier="d1")) == 202
    end = time.monotonic() + 30
    for identifier, version in (("d2", "7"), ("d3", "8")):
        assert time.monotonic() < end
        assert post(listening, *delivery(version, identifier=identifier)) == 202
    listening.release.set()
    listening.settled()
    assert listening.called[-1] == "8"
    assert len(listening.called) <= 2


def test_what_was_taken_survives_a_restart(desk: Desk) -> None:
    first = desk.receiver()
    assert first.take(*delivery()) == 202
    second = desk.receiver()
    second.start()
    desk.settled()
    second.stop()
    assert desk.called == ["7"]
    third = desk.receiver()
    third.start()
    third.stop()
    assert desk.called == ["7"]


def test_a_roll_out_that_fails_is_tried_again_and_the_receiver_lives(desk: Desk) -> None:
    tries: list[str] = []

    def fail(version: str) -> None:
        tries.append(version)
        if version == "7":
            raise PipelineError("no room") if len(tries) == 1 else ValueError("odd")

    receiver = desk.receiver(fail)
    receiver.start()
    assert receiver.take(*delivery("7", identifier="d1")) == 202
    desk.settled()
    assert receiver.take(*delivery("8", identifier="d2")) == 202
    assert desk.settled() == [("7", "failed"), ("8", "rolled out")]
    receiver.stop()
    assert tries == ["7", "7", "7", "8"]


def test_a_secret_is_replaced_without_a_gap(tmp_path: Path) -> None:
    desk = Desk(tmp_path, secrets=["the-new-secret-of-both", SECRET])
    assert desk.receiver().take(*delivery()) == 202
    assert desk.receiver().take(*delivery(identifier="d2", secret="the-new-secret-of-both")) == 202
    for secrets in ([], ["short"]):
        with pytest.raises(ConfigError, match="16 characters"):
            Desk(tmp_path, secrets=secrets)


def test_the_door_is_narrow(listening: Desk) -> None:
    headers, body = delivery()
    assert post(listening, headers, body, path="/other") == 404
    assert post(listening, {**headers, "Content-Length": "70000"}, b"") == 413
    assert post(listening, headers, b"", method="GET") == 501
    with socket.create_connection(("127.0.0.1", listening.port)) as plain:
        plain.sendall(b"POST /registry HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert b"HTTP" not in plain.recv(100)
    # A silent connection stops nobody.
    with socket.create_connection(("127.0.0.1", listening.port)):
        assert post(listening, headers, body) == 202


def test_a_certificate_that_is_none_is_told(desk: Desk) -> None:
    desk.key.write_text("no key")
    with (
        pytest.raises(ConfigError, match="give both in PEM"),
        serve_webhook(desk.receiver(), host="127.0.0.1", port=0, certificate=desk.certificate, key=desk.key),
    ):
        pass


def test_a_command_gets_the_version_and_its_failure_is_one(tmp_path: Path) -> None:
    target = tmp_path / "version"
    run_command([sys.executable, "-c", f"open({str(target)!r}, 'w').write('v{{version}}')"])("7")
    assert target.read_text() == "v7"
    with pytest.raises(PipelineError, match="ended with 4"):
        run_command([sys.executable, "-c", "raise SystemExit(4)", "{version}"])("7")
    with pytest.raises(PipelineError, match="cannot be started"):
        run_command(["/nowhere/at-all", "{version}"])("7")
    with pytest.raises(ConfigError, match=r"must hold \{version\}"):
        run_command(["covidctnet", "deploy"])


def test_the_signature_is_that_of_the_scheme() -> None:
    # Command: printf 'msg_1.1614265330.{"test": 2432232314}'
    # | openssl dgst -sha256 -hmac keykeykeykeykeykeykeykey -binary | base64
    body, secret = b'{"test": 2432232314}', "key" * 8
    signature = "v1,fo9/l5QIsTmps62C0PiSRyQJ82/D/H2SL037BNtY0kM="
    assert sign(secret, "msg_1", "1614265330", body) == signature
    headers = {"Webhook-Id": "msg_1", "Webhook-Timestamp": "1614265330", "Webhook-Signature": f"v1,other {signature}"}
    assert verify(headers, body, secrets=[secret], now=1614265330, window_seconds=0, names=STANDARD) == "msg_1"
    with pytest.raises(WebhookRefusedError, match="old, or a clock"):
        verify(headers, body, secrets=[secret], now=1614265340, window_seconds=5)
