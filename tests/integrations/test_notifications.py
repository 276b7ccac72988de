"""Notices over real sockets: signed posts and mail, tried again, never in the way, never about a patient."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from covidctnet.errors import ConfigError, NotificationError, PrivateRecordError
from integrations.notifications import (
    MailTarget,
    Notice,
    NotificationSettings,
    WebhookTarget,
    load_notifications,
    notify,
    without_identity,
)
from integrations.notify_mail import send_mail
from integrations.notify_webhook import post_notice
from integrations.webhook_signatures import verify
from tests.helpers.certificates import server_context
from tests.helpers.hook_server import hook_server
from tests.helpers.mail_server import MailServer, mail_server

SECRET = "a-secret-of-the-test"
NOTICE = Notice(
    event="refused",
    title="a new model was refused",
    data_version="0123.dir",
    model_version=2,
    candidate="b" * 16,
    champion="a" * 16,
    reasons=("sensitivity: 3 of 9 patients",),
    next_step="Read the decision.",
)
QUICK = NotificationSettings(tries=3, wait_seconds=0.0, timeout_seconds=5.0)


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COVIDCTNET_WEBHOOK_SECRET", SECRET)
    for name in ("COVIDCTNET_SMTP_USER", "COVIDCTNET_SMTP_PASSWORD", "COVIDCTNET_NOTIFY"):
        monkeypatch.delenv(name, raising=False)


def mail_to(server: MailServer, *recipients: str, **changes: object) -> MailTarget:
    values = {"host": "127.0.0.1", "port": server.port, "security": "none", "sender": "ml@hospital.example"}
    return MailTarget(**{**values, "recipients": recipients or ("ada@hospital.example",), **changes})  # type: ignore[arg-type]


def test_a_post_is_signed_and_says_all_there_is_to_say() -> None:
    with hook_server() as server:
        post_notice(WebhookTarget(url=server.url), NOTICE, QUICK)
    ((headers, body),) = server.took
    assert verify(headers, body, secrets=[SECRET], now=time.time(), window_seconds=60) == NOTICE.identifier
    assert json.loads(body) == json.loads(NOTICE.to_json())
    assert json.loads(body)["reasons"] == ["sensitivity: 3 of 9 patients"]


def test_a_post_goes_over_tls_to_a_certificate_that_is_trusted_alone(tmp_path: Path) -> None:
    context, trusted = server_context(tmp_path)
    with hook_server(tls=context) as server:
        with pytest.raises(NotificationError, match="SSLError"):
            post_notice(WebhookTarget(url=server.url), NOTICE, QUICK)
        assert server.took == []
        post_notice(WebhookTarget(url=server.url, ca_file=str(trusted)), NOTICE, QUICK)
        assert len(server.took) == 1


@pytest.mark.parametrize(("answers", "posts"), [((503, 429), 3), ((500, 500, 500), 3), ((400,), 1), ((302,), 1)])
def test_what_may_pass_is_tried_again_and_a_refusal_is_not(answers: tuple[int, ...], posts: int) -> None:
    with hook_server(*answers) as server:
        if posts == len(answers):
            with pytest.raises(NotificationError, match=f"status {answers[-1]}"):
                post_notice(WebhookTarget(url=server.url), NOTICE, QUICK)
        else:
            post_notice(WebhookTarget(url=server.url), NOTICE, QUICK)
    assert (len(server.took), server.elsewhere) == (posts, 0)
    assert len({headers["webhook-id"] for headers, _ in server.took}) == 1


def test_mail_is_written_for_people_and_known_when_it_comes_twice() -> None:
    with mail_server() as server:
        for _ in range(2):
            send_mail(mail_to(server, "ada@hospital.example", "bob@hospital.example"), NOTICE, QUICK)
    (to, message), (_, second) = server.took
    assert to == ["ada@hospital.example", "bob@hospital.example"]
    assert message["Subject"] == "covidctnet: a new model was refused"
    assert message["Message-ID"] == second["Message-ID"]
    text = message.get_content().replace("\r\n", "\n")
    assert text.strip() == NOTICE.to_text().strip()
    assert "not a medical device" in text.lower()


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_mail_goes_encrypted_with_a_login(security: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, trusted = server_context(tmp_path)
    monkeypatch.setenv("COVIDCTNET_SMTP_USER", "ml")
    monkeypatch.setenv("COVIDCTNET_SMTP_PASSWORD", "right")
    with mail_server(**{security: context}, user="ml", password="right") as server:
        target = mail_to(server, security=security, ca_file=str(trusted))
        send_mail(target, NOTICE, QUICK)
        monkeypatch.setenv("COVIDCTNET_SMTP_PASSWORD", "wrong")
        with pytest.raises(NotificationError, match="code 535"):
            send_mail(target, NOTICE, QUICK)
        with pytest.raises(NotificationError, match="SSLCertVerificationError"):
            send_mail(replace(target, ca_file=""), NOTICE, QUICK)
    assert server.encrypted == [True]


def test_mail_that_is_put_off_is_sent_again_and_refused_mail_is_not() -> None:
    with mail_server(refusals=["451 later", "421 closing"]) as server:
        send_mail(mail_to(server), NOTICE, QUICK)
        assert len(server.took) == 1
        server.refusals = ["550 never"]
        sessions = server.sessions
        with pytest.raises(NotificationError, match="code 550"):
            send_mail(mail_to(server), NOTICE, QUICK)
        assert server.sessions == sessions + 1


def test_only_those_who_did_not_get_a_mail_get_it_again() -> None:
    with mail_server(refused={"bob@hospital.example": "450 full"}) as server:
        with pytest.raises(NotificationError, match="1 of 2 recipients refused") as told:
            send_mail(mail_to(server, "ada@hospital.example", "bob@hospital.example"), NOTICE, QUICK)
        assert "bob" not in str(told.value)
        assert [to for to, _ in server.took] == [["ada@hospital.example"]]
        assert server.sessions == 3


def test_a_target_that_fails_neither_raises_nor_stops_the_others(caplog: pytest.LogCaptureFixture) -> None:
    with hook_server(400) as bad, hook_server() as good, mail_server(refusals=["550 no"]) as mail:
        settings = replace(
            QUICK, webhooks=(WebhookTarget(url=bad.url), WebhookTarget(url=good.url)), mail=(mail_to(mail),)
        )
        owed = notify(NOTICE, settings)
        assert owed == ["webhook 1", "mail 1"]
        assert len(good.took) == 1
        assert notify(NOTICE, settings, only=owed) == []
        assert (len(good.took), len(bad.took), len(mail.took)) == (1, 2, 1)
    assert notify(NOTICE, settings) == ["webhook 1", "webhook 2", "mail 1"]
    assert SECRET not in caplog.text
    assert "ada" not in caplog.text
    assert str(bad.url) not in caplog.text


def test_what_nobody_asked_for_is_not_told() -> None:
    with hook_server() as server:
        settings = replace(QUICK, webhooks=(WebhookTarget(url=server.url),), events=("failed",))
        assert notify(NOTICE, settings) == []
    assert server.took == []


def test_no_identity_leaves() -> None:
    with pytest.raises(PrivateRecordError):
        replace(NOTICE, reasons=("series 1.2.840.113619.2.55.3.604688119 was wrong",))
    assert without_identity(("a DOE^JANE", "9 patients")) == (
        "a reason that may name somebody; it stands in the workspace alone", "9 patients",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("webhooks: [{url: 'http://hooks.example/x'}]", "must start with https"),
        ("webhooks: [{url: 'https://a:b@hooks.example/x'}]", "holds credentials"),
        ("webhooks: [{url: 'https://h.example', secret_variable: NOT_SET}]", "NOT_SET, which is not set"),
        ("mail: [{host: m.example, security: none, sender: a@b.c, recipients: [a@b.c]}]", "must be encrypted"),
        ("mail: [{host: m.example, sender: a@b.c, recipients: ['a@b.c, d@e.f']}]", "one each"),
        ("mail: [{host: m.example, sender: a@b.c, recipients: []}]", "recipients"),
        ("tries: 0", "tries"),
        ("token: x", "token"),
    ],
)
def test_wrong_settings_are_refused_with_the_reason(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "notify.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_notifications(path)


def test_settings_are_optional_and_a_named_file_is_not(tmp_path: Path) -> None:
    assert notify(NOTICE, load_notifications(None)) == []
    with pytest.raises(ConfigError, match=r"there is no file 'absent\.yaml'"):
        load_notifications(tmp_path / "absent.yaml")
