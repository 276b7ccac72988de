"""Tell people and systems how a retraining or a roll-out ended: webhooks and mail, nothing about a patient."""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked_dataclass

from covidctnet.errors import ConfigError, NotificationError, PrivateRecordError
from covidctnet.yaml_values import check_values, parse_mapping
from integrations.tracking_guard import check_values as check_identity

_LOGGER = logging.getLogger(__name__)
_STRICT = ConfigDict(extra="forbid")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

Event = Literal["challenger", "refused", "failed", "live", "returned", "not_live"]
Variable = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
Seconds = Annotated[float, Field(gt=0.0, le=300.0)]


@dataclass(frozen=True, kw_only=True)
class Notice:
    """How a retraining or a roll-out ended.

    Attributes:
        event: of a retraining, of which `challenger` asks for a promotion, or of a roll-out: `live`, `returned` to the
            earlier version, `not_live`.
        title: one line.
        data_version: what was trained on; empty for a roll-out.
        model_version: of the candidate in the registry, 0 where there is none.
        candidate, champion: `pair_id`; empty where there is none.
        reasons: in words, never about a case or a patient.
        next_step: what a person should do.
        occasion: tells two notices apart that say the same, such as of two roll-outs of one version.
    """

    event: Event
    title: str
    data_version: str
    model_version: int
    candidate: str
    champion: str
    reasons: tuple[str, ...]
    next_step: str
    occasion: str = ""

    def __post_init__(self) -> None:
        check_identity({"title": self.title, "next step": self.next_step, "reasons": "\n".join(self.reasons)})

    @property
    def identifier(self) -> str:
        """The same for the same notice, so that a receiver knows one that is sent again."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:32]

    def to_json(self) -> str:
        """For systems."""
        return json.dumps(asdict(self), sort_keys=True)

    def to_text(self) -> str:
        """For people."""
        facts = [
            ("data version", self.data_version),
            ("model version", str(self.model_version) if self.model_version else ""),
            ("candidate", self.candidate),
            ("champion", self.champion),
        ]
        lines = [self.title, "", *(f"{name}: {value}" for name, value in facts if value), ""]
        lines += [*(f"- {reason}" for reason in self.reasons), "", self.next_step]
        return "\n".join([*lines, "", "Research use only. Not a medical device.", ""])


@checked_dataclass(frozen=True, kw_only=True, config=_STRICT)
class WebhookTarget:
    """Where a notice is posted, as JSON signed in the manner of Standard Webhooks.

    Attributes:
        url: https, or http on this machine.
        secret_variable: environment variable that holds the secret.
        ca_file: certificate authority of the address, where it is none of the system's.
    """

    url: str
    secret_variable: Variable = "COVIDCTNET_WEBHOOK_SECRET"
    ca_file: str = ""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise ConfigError(f"a webhook must start with https://, not {parts.scheme or 'nothing'!r}")
        if parts.username or parts.password:
            raise ConfigError("a webhook's address holds credentials; give the secret in the environment")


@checked_dataclass(frozen=True, kw_only=True, config=_STRICT)
class MailTarget:
    """A mail server and who gets the notice.

    Attributes:
        host, port: of the server.
        security: how the connection is encrypted; "none" is taken on this machine only.
        sender, recipients: addresses.
        user_variable, password_variable: environment variables of the login; no login where the first is not set.
        ca_file: certificate authority of the server, where it is none of the system's.
    """

    host: str
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    sender: str
    recipients: Annotated[tuple[str, ...], Field(min_length=1)]
    user_variable: Variable = "COVIDCTNET_SMTP_USER"
    password_variable: Variable = "COVIDCTNET_SMTP_PASSWORD"
    ca_file: str = ""

    def __post_init__(self) -> None:
        if self.security == "none" and self.host not in _LOOPBACK:
            raise ConfigError(f"mail to {self.host} must be encrypted: starttls or tls")
        if any("@" not in address or set(address) & set("\r\n,;") for address in (self.sender, *self.recipients)):
            raise ConfigError("sender and recipients must be mail addresses, one each")


@checked_dataclass(frozen=True, kw_only=True, config=_STRICT)
class NotificationSettings:
    """Who is told of what.

    Attributes:
        webhooks, mail: targets.
        events: what is told.
        tries: how often a target is tried.
        wait_seconds: before the second try, doubled each time.
        timeout_seconds: longest time of a try.
    """

    webhooks: tuple[WebhookTarget, ...] = ()
    mail: tuple[MailTarget, ...] = ()
    events: tuple[Event, ...] = get_args(Event)
    tries: Annotated[int, Field(ge=1, le=10)] = 4
    wait_seconds: Annotated[float, Field(ge=0.0, le=60.0)] = 2.0
    timeout_seconds: Seconds = 15.0


def load_notifications(path: Path | None) -> NotificationSettings:
    """Read the settings; nobody is told where None.

    Raises:
        ConfigError: there is no such file, a field is refused, or a webhook's secret is not in the environment.
    """
    if path is None:
        return NotificationSettings()
    if not path.is_file():
        raise ConfigError(f"there is no file {path.name!r} of notifications; name one, or leave it out")
    values = parse_mapping(path.read_text("utf-8"), "the file of notifications")
    settings = check_values(NotificationSettings, values, "notifications")
    for target in settings.webhooks:
        if not os.environ.get(target.secret_variable):
            raise ConfigError(f"a webhook's secret is to be in {target.secret_variable}, which is not set")
    return settings


def channels(settings: NotificationSettings) -> dict[str, Callable[[Notice], None]]:
    """What delivers a notice, by a name that tells no address."""
    from integrations.notify_mail import send_mail
    from integrations.notify_webhook import post_notice

    found: dict[str, Callable[[Notice], None]] = {}
    for number, hook in enumerate(settings.webhooks, 1):
        found[f"webhook {number}"] = lambda notice, hook=hook: post_notice(hook, notice, settings)  # type: ignore[misc]
    for number, mail in enumerate(settings.mail, 1):
        found[f"mail {number}"] = lambda notice, mail=mail: send_mail(mail, notice, settings)  # type: ignore[misc]
    return found


def notify(notice: Notice, settings: NotificationSettings, *, only: Sequence[str] | None = None) -> list[str]:
    """Deliver a notice to every target; one that fails is told in the log and changes nothing else.

    Args:
        notice: what is told.
        settings: to whom.
        only: names of the channels that have not taken it yet; all where None.

    Returns:
        Names of the channels that did not take it.
    """
    if notice.event not in settings.events:
        return []
    owed = []
    for name, deliver in channels(settings).items():
        if only is not None and name not in only:
            continue
        try:
            deliver(notice)
        except NotificationError as error:
            _LOGGER.warning("%s: %s", name, error)
            owed.append(name)
        except Exception as error:  # noqa: BLE001 - whatever a library raises must not hide how the work ended
            _LOGGER.warning("%s: the notice was not delivered: %s", name, type(error).__name__)
            owed.append(name)
    return owed


def without_identity(reasons: Sequence[str]) -> tuple[str, ...]:
    """Reasons that may leave; one that looks like an identity is replaced by a hint at where it stands."""
    kept = []
    for reason in reasons:
        try:
            check_identity({"reason": reason})
        except PrivateRecordError:
            kept.append("a reason that may name somebody; it stands in the workspace alone")
        else:
            kept.append(reason)
    return tuple(kept)
