"""The receiver of MLflow's registry webhooks: MLflow's own sender against it, and everything that must not get in."""

import base64
import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from covidctnet.errors import ClusterOutageError, ConfigError, RolloutError, WebhookRefusedError
from integrations.registry_webhook import Ending, Pause, RegistryWebhook, WebhookSettings
from integrations.webhook_inbox import Inbox
from integrations.webhook_server import serve_webhook
from integrations.webhook_signatures import MLFLOW, STANDARD, sign, verify
from tests.helpers.certificates import make_certificate

SECRET = "a-secret-of-the-registry"


class Desk:
    """A receiver under test, with what it called."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.folder, self.called, self.confirmed = folder, [], {"7", "8"}
        self.told: list[tuple[int, str, str]] = []
        self.certificate, self.key = make_certificate(folder / "tls")
        self.now, self.release = 1_000_000.0, threading.Event()
        self.release.set()
        self.settings = WebhookSettings(**{"secrets": [SECRET], "wait_seconds": 0.0, **changes})
        self.port = 0

    def receiver(self, roll_out: Callable[[str, Pause], Ending] | None = None) -> RegistryWebhook:
        return RegistryWebhook(
            self.settings,
            Inbox(self.folder / "inbox.db"),
            roll_out=roll_out or self.roll_out,
            confirm=lambda version: version in self.confirmed,
            tell=lambda number, version, ending: self.told.append((number, version, ending.outcome)),
            clock=lambda: self.now,
        )

    def roll_out(self, version: str, pause: Pause) -> Ending:
        self.release.wait(30)
        self.called.append(version)
        return Ending(outcome="rolled out")

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
    assert listening.told == [(1, "7", "not confirmed")]


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


def test_a_roll_out_that_fails_is_tried_again_and_told_and_the_receiver_lives(desk: Desk) -> None:
    tries: list[str] = []

    def fail(version: str, pause: Pause) -> Ending:
        tries.append(version)
        if version == "7":
            raise RolloutError("no room") if len(tries) == 1 else ValueError("odd")
        return Ending(outcome="rolled out")

    receiver = desk.receiver(fail)
    receiver.start()
    assert receiver.take(*delivery("7", identifier="d1")) == 202
    desk.settled()
    assert receiver.take(*delivery("8", identifier="d2")) == 202
    assert desk.settled() == [("7", "failed"), ("8", "rolled out")]
    receiver.stop()
    assert tries == ["7", "7", "7", "8"]
    assert desk.told == [(1, "7", "failed"), (2, "8", "rolled out")]


def test_an_outage_is_told_once_and_tried_until_it_is_over(desk: Desk) -> None:
    tries: list[str] = []

    def wait_for_the_cluster(version: str, pause: Pause) -> Ending:
        tries.append(version)
        if len(tries) < 9:
            raise ClusterOutageError("the API does not answer")
        return Ending(outcome="rolled out")

    receiver = desk.receiver(wait_for_the_cluster)
    receiver.start()
    assert receiver.take(*delivery()) == 202
    assert desk.settled() == [("7", "rolled out")]
    receiver.stop()
    assert tries == ["7"] * 9
    assert desk.told == [(1, "7", "failed"), (1, "7", "rolled out")]


def test_whoever_takes_deliveries_goes_on_working_after_an_error_of_its_own(desk: Desk) -> None:
    faults = [OSError("no space"), ValueError("odd")]

    class Forgetful(Inbox):
        def finish(self, number: int, outcome: str, *, overtakes: bool = True) -> None:
            if faults:
                raise faults.pop()
            super().finish(number, outcome, overtakes=overtakes)

    receiver = desk.receiver()
    receiver._inbox = Forgetful(desk.folder / "inbox.db")
    receiver.start()
    assert receiver.take(*delivery()) == 202
    assert desk.settled() == [("7", "rolled out")]
    receiver.stop()
    assert desk.called == ["7"] * 3


class Long:
    """A roll-out that goes on until it is interrupted, or until it is let go."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.under_way, self.done = threading.Event(), threading.Event()

    def __call__(self, version: str, pause: Pause) -> Ending:
        self.calls.append(version)
        self.under_way.set()
        while not self.done.is_set():
            pause(0.01)
        return Ending(outcome="rolled out")


def test_a_version_that_is_wanted_now_ends_a_roll_out_under_way(desk: Desk) -> None:
    long, desk.confirmed = Long(), {"8"}
    receiver = desk.receiver(long)
    receiver.start()
    assert receiver.take(*delivery("8", identifier="d1")) == 202
    assert long.under_way.wait(30)
    # Set past the gate, by somebody who may write to the registry; and the same news twice.
    assert receiver.take(*delivery("9", identifier="d2")) == 202
    assert receiver.take(*delivery("8", identifier="d3")) == 202
    end = time.monotonic() + 30
    while [outcome for _, outcome in desk.outcomes()] != ["", "not confirmed", "the same again"]:
        assert time.monotonic() < end, desk.outcomes()
        time.sleep(0.01)
    assert long.calls == ["8"]
    # A rollback.
    desk.confirmed = {"7"}
    assert receiver.take(*delivery("7", identifier="d4")) == 202
    while long.calls != ["8", "7"]:
        assert time.monotonic() < end, long.calls
        time.sleep(0.01)
    long.done.set()
    assert [outcome for _, outcome in desk.settled()] == ["overtaken", "not confirmed", "the same again", "rolled out"]
    receiver.stop()
    assert desk.told == [(2, "9", "not confirmed"), (4, "7", "rolled out")]


def test_news_that_come_in_the_wrong_order_end_at_what_the_log_says(desk: Desk) -> None:
    desk.confirmed = {"7"}
    receiver = desk.receiver()
    assert receiver.take(*delivery("7", identifier="d2")) == 202
    # Sent before it, and late.
    assert receiver.take(*delivery("8", identifier="d1")) == 202
    receiver.start()
    assert desk.settled() == [("7", "rolled out"), ("8", "not confirmed")]
    receiver.stop()
    assert desk.called == ["7"]


def test_a_receiver_that_stops_leaves_the_roll_out_where_it_is_and_the_next_one_goes_on(desk: Desk) -> None:
    long = Long()
    first = desk.receiver(long)
    first.start()
    assert first.take(*delivery()) == 202
    assert long.under_way.wait(30)
    first.stop()
    assert desk.outcomes() == [("7", "")]
    assert desk.told == []
    long.done.set()
    second = desk.receiver(long)
    second.start()
    assert desk.settled() == [("7", "rolled out")]
    second.stop()
    assert long.calls == ["7", "7"]


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
