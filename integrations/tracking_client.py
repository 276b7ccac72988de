"""The connection to MLflow: where it is, how long to try, and what an error of it means."""

import logging
import os
import random
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar
from urllib.parse import urlsplit

from covidctnet.errors import ConfigError, TrackingDeniedError, TrackingError, TrackingOutageError
from covidctnet.telemetry import SWITCHES

if TYPE_CHECKING:
    from mlflow import MlflowClient

_LOGGER = logging.getLogger(__name__)
_T = TypeVar("_T")

_OURS = 400
"""Status of an error that no address answered: the request itself is wrong, and another try is wrong again."""


@dataclass(frozen=True)
class TrackingSettings:
    """Where MLflow is and how patient its clients are; credentials come from the environment only.

    `MLFLOW_TRACKING_USERNAME`, `MLFLOW_TRACKING_PASSWORD` and `MLFLOW_TRACKING_TOKEN` for a server, `PGPASSWORD` for a
    database, `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` where the artifact store is reached directly.

    Attributes:
        uri: address of a server, or `sqlite:///FILE`.
        experiment: experiment of MLflow that holds the runs.
        model: name of the registered model.
        artifacts: folder or address of the artifacts of a new experiment; the server's own where empty.
        spool: folder that keeps what could not be sent.
        retry_seconds: how long a record is tried before it is kept in the spool, s.
        first_wait_seconds: wait before the second try, doubled each time up to 10 s.
        request_seconds: longest time of one request, s.
        settle_seconds: wait after a parent run was made on a server, to see one that was made at the same time.
        system_metrics_seconds: time between two samples of processor, memory and disk; 0 takes none.
    """

    uri: str
    experiment: str = "covidctnet"
    model: str = "covidctnet"
    artifacts: str = ""
    spool: str = "tracking-spool"
    retry_seconds: float = 90.0
    first_wait_seconds: float = 0.5
    request_seconds: int = 30
    settle_seconds: float = 1.0
    system_metrics_seconds: float = 10.0

    def __post_init__(self) -> None:
        if not self.uri:
            raise ConfigError("tracking.uri is empty; give a server's address or sqlite:///FILE")
        if urlsplit(self.uri).password:
            raise ConfigError(
                f"the tracking address {self.address} holds a password; give credentials in the environment"
            )
        for name in ("retry_seconds", "first_wait_seconds", "settle_seconds", "system_metrics_seconds"):
            if not 0.0 <= getattr(self, name) <= 3600.0:
                raise ConfigError(f"tracking.{name} must lie between 0 and 3600, not {getattr(self, name)}")
        if not 1 <= self.request_seconds <= 3600:
            raise ConfigError(f"tracking.request_seconds must lie between 1 and 3600, not {self.request_seconds}")

    @classmethod
    def embedded(cls, workspace: Path) -> "TrackingSettings":
        """MLflow without a server: a SQLite file and folders in a workspace."""
        folder = workspace.resolve()
        return cls(
            uri=f"sqlite:///{folder / 'mlflow.db'}",
            artifacts=(folder / "mlartifacts").as_uri(),
            spool=str(folder / "tracking-spool"),
        )

    @property
    def address(self) -> str:
        """The address without user and password, for messages; a local file by its name only."""
        parts = urlsplit(self.uri)
        if parts.scheme == "sqlite":
            return f"sqlite:///{Path(parts.path).name}"
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"

    @property
    def is_local(self) -> bool:
        """Whether MLflow is a file on this machine."""
        return self.uri.startswith("sqlite:")


def open_embedded(workspace: Path) -> TrackingSettings:
    """Settings of a workspace that has runs already; looking does not make it.

    Raises:
        TrackingError: the workspace has none.
    """
    if not (workspace / "mlflow.db").is_file():
        raise TrackingError("the workspace holds no mlflow.db; run the pipeline there, or name another or a server")
    return TrackingSettings.embedded(workspace)


def serve_pages(settings: TrackingSettings, port: int) -> NoReturn:
    """Become MLflow's web server on loopback, with usage reports off in the server and in its pages."""
    command = [sys.executable, "-W", "ignore", "-m", "mlflow", "ui", "--backend-store-uri", settings.uri]
    environment = {**os.environ, **SWITCHES, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    os.execve(sys.executable, [*command, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"], environment)


@contextmanager
def quiet_imports() -> Iterator[None]:
    """Keep away what MLflow's modules warn of in each other, and the tables that they tell of making."""
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    logging.getLogger("alembic").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def make_client(settings: TrackingSettings) -> "MlflowClient":
    """A client that has reached MLflow; its own retries are off, since `retry` bounds them as a whole."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(settings.request_seconds))
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with quiet_imports():
        from mlflow import MlflowClient

        if "postgresql" in settings.uri:
            import mlflow.store.db.utils

            # Ten tries of its own, a hundred seconds long, before it tells of a wrong password.
            mlflow.store.db.utils.MAX_RETRY_COUNT = 1
        client = MlflowClient(tracking_uri=settings.uri, registry_uri=settings.uri)
        client.get_experiment_by_name(settings.experiment)
    return client


def retry(what: str, call: Callable[[], _T], settings: TrackingSettings, *, seconds: float | None = None) -> _T:
    """Call until it succeeds, waiting longer each time, as long as the address does not answer.

    Args:
        what: what is done, for messages.
        call: may run several times.
        settings: how long to wait.
        seconds: takes the place of `settings.retry_seconds`; 0 tries once.

    Raises:
        TrackingOutageError: no answer within that time.
        TrackingDeniedError: the credentials are refused; trying again would not help.
        TrackingError: the record is refused.
    """
    allowed = settings.retry_seconds if seconds is None else seconds
    end, wait, tries = time.monotonic() + allowed, settings.first_wait_seconds, 0
    while True:
        tries += 1
        try:
            return call()
        except TrackingError:
            raise
        except Exception as error:  # noqa: BLE001 -- MLflow lets errors of six libraries through
            meaning = explain(error, what, settings)
            if not isinstance(meaning, TrackingOutageError):
                raise meaning from None
            pause = min(wait, 10.0) * random.uniform(0.75, 1.25)
            if time.monotonic() + pause > end:
                raise TrackingOutageError(
                    f"{what}: {settings.address} did not answer {tries} tries in {allowed:.0f} s "
                    f"({type(error).__name__}); check that MLflow runs there"
                ) from None
            if tries == 1:
                _LOGGER.warning("%s: %s does not answer; trying for %.0f s", what, settings.address, allowed)
            time.sleep(pause)
            wait *= 2


def explain(error: Exception, what: str, settings: TrackingSettings) -> TrackingError:
    """What an error of MLflow or of a library below it means; its text is quoted only where it cannot hold a secret."""
    status, text = _status(error), str(error)
    if status in (401, 403) or "password authentication failed" in text or "no password supplied" in text:
        return TrackingDeniedError(
            f"{what}: {settings.address} does not accept the credentials; check MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD, or PGPASSWORD, in the environment"
        )
    if status is None or status >= 500 or status in (408, 429):
        return TrackingOutageError(f"{what}: {settings.address} does not answer ({type(error).__name__})")
    return TrackingError(f"{what}: {settings.address} refuses it: {type(error).__name__} {text[:300]}")


def _status(error: Exception) -> int | None:
    """The HTTP status that an error stands for; None where nothing answered."""
    from botocore.exceptions import BotoCoreError
    from mlflow.exceptions import ERROR_CODE_TO_HTTP_STATUS, MlflowException
    from sqlalchemy.exc import InterfaceError, OperationalError

    if isinstance(error, MlflowException):
        return ERROR_CODE_TO_HTTP_STATUS.get(error.error_code, 500)
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500))
    if response is not None:
        return int(response.status_code)
    return None if isinstance(error, OSError | BotoCoreError | InterfaceError | OperationalError) else _OURS
