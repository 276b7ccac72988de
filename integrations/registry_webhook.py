"""Receive MLflow's registry webhooks: a signed change of the champion becomes one roll-out.

What a delivery says is a hint and no authority: whoever may write to the registry can set an alias. The version that
is rolled out is the one that the promotion log confirms.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from covidctnet.errors import (
    ClusterOutageError,
    ConfigError,
    CovidCTNetError,
    LogTamperedError,
    PromotionError,
    RolloutConflictError,
    RolloutInterruptedError,
    TrackingOutageError,
    WebhookRefusedError,
)
from integrations.webhook_inbox import Inbox
from integrations.webhook_signatures import MLFLOW, verify

_LOGGER = logging.getLogger(__name__)
_SHORTEST_SECRET = 16
_ALIAS = "champion"
"""The only one that may serve: a challenger waits for its promotion."""

_PASSING = (ClusterOutageError, PromotionError, RolloutConflictError, TrackingOutageError)
"""What ends by itself, a log that cannot be read among it: tried until it has, for nobody watches what was given up."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What became of a version.

    Attributes:
        outcome: "returned" where the earlier pair serves again.
        reasons: in words.
        passing: whether a later try may come to something else.
    """

    outcome: Literal["rolled out", "returned", "not confirmed", "failed"]
    reasons: tuple[str, ...] = ()
    passing: bool = False


Pause = Callable[[float], None]
"""Waits some seconds. Raises `RolloutInterruptedError` where the receiver stops, or another version is wanted."""

RollOut = Callable[[str, Pause], Ending]
"""Brings a version of the registered model into service; called again with the same version, it does no harm."""

Confirm = Callable[[str], bool]
"""Whether the promotion log says that this version is champion."""

Tell = Callable[[int, str, Ending], None]
"""Tells people and systems what became of a delivery, by its number and version."""


@dataclass(frozen=True, kw_only=True)
class WebhookSettings:
    """What is listened to.

    Attributes:
        secrets: of the webhook; two while one is replaced.
        model: name of the registered model.
        window_seconds: how far a delivery's time may be from now.
        tries: how often a roll-out is tried before it has failed; an outage is tried for longer, and told then.
        wait_seconds: before the second try, doubled each time.
        longest_wait_seconds: at most.

    Raises:
        ConfigError: there is no secret, or one is short.
    """

    secrets: Sequence[str]
    model: str = "covidctnet"
    window_seconds: float = 300.0
    tries: int = 3
    wait_seconds: float = 30.0
    longest_wait_seconds: float = 600.0

    def __post_init__(self) -> None:
        if self.tries < 1:
            raise ConfigError(f"a roll-out must be tried once or more, not {self.tries} times")
        if not self.secrets or any(len(secret) < _SHORTEST_SECRET for secret in self.secrets):
            raise ConfigError(f"the webhook needs a secret of {_SHORTEST_SECRET} characters or more")


class RegistryWebhook:
    """Takes deliveries, and rolls out one version at a time, in a thread of its own.

    A delivery is kept before it is answered, so that a restart loses none. Of several that wait, the newest counts. A
    roll-out takes days; a newer version that the log confirms ends it where it is, so that a rollback never waits.

    Args:
        settings: what is listened to.
        inbox: keeps deliveries; it outlives the process.
        roll_out: called with a version.
        confirm: asked first.
        tell: told what became of it, before that is kept: a kill in between tells it twice.
        clock: time, s since the epoch.
    """

    def __init__(
        self,
        settings: WebhookSettings,
        inbox: Inbox,
        *,
        roll_out: RollOut,
        confirm: Confirm,
        tell: Tell,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings, self._inbox, self._clock = settings, inbox, clock
        self._roll_out, self._confirm, self._tell = roll_out, confirm, tell
        self._wake, self._halt = threading.Event(), threading.Event()
        self._worker = threading.Thread(target=self._work, name="roll-out")

    def start(self) -> None:
        """Begin with what an earlier process took and did not finish."""
        self._wake.set()
        self._worker.start()

    def stop(self) -> None:
        """Leave a roll-out under way where it is, for the next start, and end."""
        self._halt.set()
        self._wake.set()
        self._worker.join()

    def take(self, headers: Mapping[str, str], body: bytes) -> HTTPStatus:
        """Check a delivery and keep it.

        Returns:
            The status to answer with: 202 taken, 200 taken before, 204 about something else, 401 not to be trusted,
            400 not to be understood.
        """
        now = self._clock()
        try:
            identifier = verify(
                headers,
                body,
                secrets=self._settings.secrets,
                now=now,
                window_seconds=self._settings.window_seconds,
                names=MLFLOW,
            )
        except WebhookRefusedError as error:
            _LOGGER.warning("a delivery was refused: %s", error)
            return HTTPStatus.UNAUTHORIZED
        try:
            version = self._version(body)
        except (ValueError, KeyError, TypeError):
            _LOGGER.warning("a signed delivery cannot be read; does MLflow speak another version?")
            return HTTPStatus.BAD_REQUEST
        # Longer than a delivery is accepted on either side: what is forgotten can no longer be replayed.
        self._inbox.forget(now - 4 * self._settings.window_seconds)
        if version is None:
            return HTTPStatus.NO_CONTENT
        if not self._inbox.put(identifier, version, now):
            return HTTPStatus.OK
        self._wake.set()
        return HTTPStatus.ACCEPTED

    def _version(self, body: bytes) -> str | None:
        values = json.loads(body)
        kind, data = (values["entity"], values["action"]), values["data"]
        if kind != ("model_version_alias", "created"):
            return None
        if (data["name"], data["alias"]) != (self._settings.model, _ALIAS):
            return None
        version = str(data["version"])
        if not version.isascii() or not version.isdigit() or len(version) > 12:
            raise ValueError("no version")
        return version

    def _work(self) -> None:
        while not self._halt.is_set():
            self._wake.wait()
            self._wake.clear()
            try:
                self._empty_inbox()
            except Exception as error:  # noqa: BLE001 - a full disk passes; who takes deliveries must work on them
                _LOGGER.error("deliveries cannot be worked through, they wait: %s", type(error).__name__)
                self._halt.wait(self._settings.wait_seconds)
                self._wake.set()

    def _empty_inbox(self) -> None:
        current, tries = (0, ""), 0
        while not self._halt.is_set() and (waiting := self._inbox.newest()) is not None:
            tries = tries + 1 if waiting == current else 1
            current = waiting
            self._follow(*waiting, tries)

    def _follow(self, number: int, version: str, tries: int) -> None:
        """Try a delivery once more; it waits on where it was interrupted or is to be tried again."""
        most, wait = self._settings.tries, self._settings.wait_seconds
        try:
            ending = self._try(number, version)
            if ending.outcome != "failed" or tries == most:
                self._tell(number, version, ending)
            if ending.outcome == "failed" and (ending.passing or tries < most):
                self._pause(number, version, min(wait * 2.0 ** (tries - 1), self._settings.longest_wait_seconds))
                return
        except RolloutInterruptedError:
            _LOGGER.info("version %s is left where it is", version)
            return
        self._inbox.finish(number, ending.outcome, overtakes=ending.outcome != "not confirmed")

    def _try(self, number: int, version: str) -> Ending:
        try:
            if not self._confirm(version):
                return self._unconfirmed(version)
            ending = self._roll_out(version, lambda seconds: self._pause(number, version, seconds))
        except RolloutInterruptedError:
            raise
        except CovidCTNetError as error:
            _LOGGER.error("version %s was not rolled out: %s", version, error)
            passing = isinstance(error, _PASSING) and not isinstance(error, LogTamperedError)
            return Ending(outcome="failed", reasons=(str(error),), passing=passing)
        except Exception as error:  # noqa: BLE001 - one roll-out that fails must not end the receiver
            _LOGGER.error("version %s was not rolled out: %s", version, type(error).__name__)
            return Ending(outcome="failed", reasons=(type(error).__name__,))
        _LOGGER.info("version %s: %s", version, ending.outcome)
        return ending

    def _unconfirmed(self, version: str) -> Ending:
        reason = f"the promotion log does not say that version {version} is {_ALIAS}"
        _LOGGER.warning("%s; nothing changes", reason)
        return Ending(outcome="not confirmed", reasons=(reason,))

    def _pause(self, number: int, version: str, seconds: float) -> None:
        """Wait, unless the receiver stops or the log wants another version by now."""
        end = time.monotonic() + seconds
        while not self._halt.is_set() and self._is_still_wanted(number, version):
            if not self._wake.wait(max(0.0, end - time.monotonic())):
                return
            self._wake.clear()
        raise RolloutInterruptedError("the roll-out is left where it is")

    def _is_still_wanted(self, number: int, version: str) -> bool:
        """Look at deliveries that came meanwhile; one that the log does not confirm disturbs nothing."""
        while (newest := self._inbox.newest()) is not None and newest[0] != number:
            try:
                if not self._confirm(version):
                    return False
            except Exception as error:  # noqa: BLE001 - it is asked again, and what is under way goes on
                _LOGGER.warning("a newer delivery cannot be looked at yet: %s", type(error).__name__)
                return True
            if newest[1] == version:
                self._inbox.finish(newest[0], "the same again", overtakes=False)
            else:
                self._tell(*newest, self._unconfirmed(newest[1]))
                self._inbox.finish(newest[0], "not confirmed", overtakes=False)
        return True
