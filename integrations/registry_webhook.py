"""Receive MLflow's registry webhooks: a signed change of an alias becomes one call of a roll-out.

What a delivery says is a hint and no authority: whoever may write to the registry can set an alias. The version that
is rolled out is the one that the promotion log confirms.
"""

import json
import logging
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from covidctnet.errors import ConfigError, CovidCTNetError, PipelineError, WebhookRefusedError
from integrations.webhook_inbox import Inbox
from integrations.webhook_signatures import MLFLOW, verify

_LOGGER = logging.getLogger(__name__)
_SHORTEST_SECRET = 16

RollOut = Callable[[str], None]
"""Brings a version of the registered model into service; called again with the same version, it does no harm."""

Confirm = Callable[[str], bool]
"""Whether the promotion log says that this version is the alias's."""


@dataclass(frozen=True, kw_only=True)
class WebhookSettings:
    """What is listened to.

    Attributes:
        secrets: of the webhook; two while one is replaced.
        model: name of the registered model.
        alias: whose changes matter.
        window_seconds: how far a delivery's time may be from now.
        tries: how often a roll-out is tried.
        wait_seconds: before each further try.

    Raises:
        ConfigError: there is no secret, or one is short.
    """

    secrets: Sequence[str]
    model: str = "covidctnet"
    alias: str = "champion"
    window_seconds: float = 300.0
    tries: int = 3
    wait_seconds: float = 30.0

    def __post_init__(self) -> None:
        if self.tries < 1:
            raise ConfigError(f"a roll-out must be tried once or more, not {self.tries} times")
        if not self.secrets or any(len(secret) < _SHORTEST_SECRET for secret in self.secrets):
            raise ConfigError(f"the webhook needs a secret of {_SHORTEST_SECRET} characters or more")


class RegistryWebhook:
    """Takes deliveries, and works through them one after the other in a thread of its own.

    A delivery is kept before it is answered, so that a restart loses none. Of several that wait, the newest counts.

    Args:
        settings: what is listened to.
        inbox: keeps deliveries; it outlives the process.
        roll_out: called with a version.
        confirm: asked first.
        clock: time, s since the epoch.
    """

    def __init__(
        self,
        settings: WebhookSettings,
        inbox: Inbox,
        *,
        roll_out: RollOut,
        confirm: Confirm,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings, self._inbox, self._clock = settings, inbox, clock
        self._roll_out, self._confirm = roll_out, confirm
        self._wake, self._halt = threading.Event(), threading.Event()
        self._worker = threading.Thread(target=self._work, name="roll-out")

    def start(self) -> None:
        """Begin with what an earlier process took and did not finish."""
        self._wake.set()
        self._worker.start()

    def stop(self) -> None:
        """Finish the roll-out under way and end."""
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
        if (data["name"], data["alias"]) != (self._settings.model, self._settings.alias):
            return None
        version = str(data["version"])
        if not version.isascii() or not version.isdigit() or len(version) > 12:
            raise ValueError("no version")
        return version

    def _work(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while not self._halt.is_set() and (waiting := self._inbox.newest()) is not None:
                number, version = waiting
                outcome = self._follow(version)
                if outcome:
                    self._inbox.finish(number, outcome)
            if self._halt.is_set():
                return

    def _follow(self, version: str) -> str:
        """What became of a version; empty where the receiver was stopped before it was known."""
        for number in range(self._settings.tries):
            if number and self._halt.wait(self._settings.wait_seconds):
                return ""
            outcome = self._try(version)
            if outcome != "failed":
                break
        return outcome

    def _try(self, version: str) -> str:
        try:
            if not self._confirm(version):
                _LOGGER.warning(
                    "version %s is not %s by the promotion log; nothing changes", version, self._settings.alias
                )
                return "not confirmed"
            self._roll_out(version)
        except CovidCTNetError as error:
            _LOGGER.error("version %s was not rolled out: %s", version, error)
            return "failed"
        except Exception as error:  # noqa: BLE001 - one roll-out that fails must not end the receiver
            _LOGGER.error("version %s was not rolled out: %s", version, type(error).__name__)
            return "failed"
        _LOGGER.info("version %s was rolled out", version)
        return "rolled out"


def run_command(command: Sequence[str]) -> RollOut:
    """A roll-out that calls a command of its own.

    Args:
        command: words; `{version}` in any of them is replaced by the version.

    Raises:
        ConfigError: no word holds `{version}`.
    """
    if not any("{version}" in word for word in command):
        raise ConfigError("the roll-out's command must hold {version}, as in: covidctnet deploy {version}")

    def roll_out(version: str) -> None:
        words = [word.replace("{version}", version) for word in command]
        try:
            done = subprocess.run(words, check=False, stdin=subprocess.DEVNULL)
        except OSError as error:
            raise PipelineError(f"the roll-out's command cannot be started: {error.strerror}") from None
        if done.returncode:
            raise PipelineError(f"the roll-out's command ended with {done.returncode}")

    return roll_out
