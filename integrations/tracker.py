"""Sends the records of one step to MLflow, and keeps what cannot be sent."""

import json
import logging
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covidctnet.config import Config
from covidctnet.errors import PrivateRecordError, TrackingError
from integrations.tracking_client import TrackingSettings, retry
from integrations.tracking_guard import check_file, check_key, check_values
from integrations.tracking_spool import Record, Spool, send_record

if TYPE_CHECKING:
    from mlflow import MlflowClient

_LOGGER = logging.getLogger(__name__)


class Tracker:
    """Sends the records of one step; made by `track_step`.

    Args:
        client: connection to MLflow.
        settings: how long to try.
        step: which step, as `Spool.open` keeps it.
        run_id: run of MLflow of this attempt.
        spool: keeps what cannot be sent.
    """

    def __init__(
        self, client: "MlflowClient", settings: TrackingSettings, *, step: dict[str, Any], run_id: str, spool: Spool
    ) -> None:
        self.run_id, self.spool = run_id, spool
        self._client, self._settings, self._step = client, settings, step
        self._offline = False
        self._lock = threading.Lock()

    @property
    def is_offline(self) -> bool:
        """Whether MLflow stopped answering, so that records are kept instead."""
        return self._offline

    def log_params(self, values: Mapping[str, Any]) -> None:
        """Log parameters.

        Raises:
            PrivateRecordError: a parameter names or holds an identity.
        """
        check_values(values)
        self._emit(Record(kind="params", values=dict(values)))

    def log_metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics at one step.

        Raises:
            PrivateRecordError: a metric names an identity.
        """
        self._log_rows([(key, value, step or 0) for key, value in values.items()])

    def log_history(self, history: Mapping[str, Sequence[float]], *, prefix: str = "") -> None:
        """Log metrics by epoch, counted from 0."""
        self._log_rows(
            [(prefix + key, value, epoch) for key, values in history.items() for epoch, value in enumerate(values)]
        )

    def _log_rows(self, rows: list[tuple[str, float, int]]) -> None:
        for key, _, _ in rows:
            check_key(key, countable=True)
        now = now_ms()
        self._emit(
            Record(kind="metrics", values={"rows": [(key, float(value), now, step) for key, value, step in rows]})
        )

    def set_tags(self, values: Mapping[str, str]) -> None:
        """Set tags.

        Raises:
            PrivateRecordError: a tag names or holds an identity.
        """
        check_values(values)
        self._emit(Record(kind="tags", values=dict(values)))

    def log_config(self, config: Config) -> None:
        """Log the whole configuration as `config.json`, and its name, seed and digest as parameters."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "config.json"
            path.write_text(config.to_json(), "utf-8")
            self.log_artifact(path)
        self.log_params({"profile": config.name, "seed": config.seed, "config_digest": config.digest})

    def log_dataset(self, name: str, version: str, summary: Mapping[str, Any], *, context: str = "training") -> None:
        """Log a version of the data as an input of this step.

        Args:
            name: name of the cohort.
            version: hash of its content.
            summary: counts and the like; it must fit JSON.
            context: what it is used for.

        Raises:
            PrivateRecordError: the summary names or holds an identity.
        """
        check_values({"name": name, **{key: _countable(value) for key, value in summary.items()}})
        values = {"name": name, "version": version, "summary": dict(summary), "context": context}
        self._emit(Record(kind="dataset", values=values))

    def log_artifact(self, path: Path, place: str = "") -> None:
        """Log one file, under a folder of the run's artifacts.

        A file that holds an identity is withheld with a warning, and the run gets the tag `covidctnet.withheld`.
        """
        if self._may_leave(path):
            self._emit(Record(kind="artifact", values={"path": str(path), "place": place}))

    def log_artifacts(self, folder: Path, place: str = "") -> None:
        """Log all files of a folder and of the folders in it, each as `log_artifact` does."""
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            inner = path.parent.relative_to(folder).as_posix()
            self.log_artifact(path, "/".join(part for part in (place, inner) if part not in ("", ".")))

    def log_figures(self, figures: Path) -> None:
        """Log a figure, or all figures of a folder, under `figures/`."""
        if figures.is_dir():
            self.log_artifacts(figures, "figures")
        else:
            self.log_artifact(figures, "figures")

    def _may_leave(self, path: Path) -> bool:
        try:
            check_file(path)
        except PrivateRecordError as error:
            _LOGGER.warning("an artifact of step %s is withheld: %s", self._step["step"], error)
            self._emit(Record(kind="tags", values={"covidctnet.withheld": str(error)}))
            return False
        return True

    def _emit(self, record: Record) -> None:
        with self._lock:
            if self._offline:
                self.spool.append(record)
                return
            try:
                retry(f"log {record.kind}", lambda: send_record(self._client, self.run_id, record), self._settings)
            except TrackingError as error:
                self._keep(record, error)

    def _keep(self, record: Record, error: TrackingError) -> None:
        """A record that was refused is kept alone; after any other error all later ones are kept as well."""
        self._offline = type(error) is not TrackingError
        if self.spool.is_empty:
            self.spool.open(self._step)
        self.spool.append(record)
        _LOGGER.warning("%s; the step goes on, and its records are kept", error)

    def end(self, status: str) -> None:
        """Close the run with a status of MLflow; what was kept is tried once more."""
        with self._lock:
            if not self.spool.is_empty:
                self._offline = not self._drain()
        self._emit(Record(kind="end", values={"status": status, "time": now_ms()}))
        if not self.spool.is_empty:
            _LOGGER.warning(
                "records of step %s wait in the spool; send them with: covidctnet tracking flush %s",
                self._step["step"],
                self.spool.folder.parent,
            )

    def _drain(self) -> bool:
        try:
            send_all(self._client, self.run_id, self.spool, self._settings)
        except TrackingError as error:
            return type(error) is TrackingError
        return True


def send_all(client: "MlflowClient", run_id: str, spool: Spool, settings: TrackingSettings) -> None:
    """Send a spool's records in their order and forget those that were taken.

    Raises:
        TrackingError: the first refusal, after all others were tried; or at once when MLflow does not answer.
    """
    refused: list[Record] = []
    reason: TrackingError | None = None
    for record in spool.records():
        try:
            retry(f"send {record.kind}", lambda r=record: send_record(client, run_id, r), settings, seconds=0)  # type: ignore[misc]
        except TrackingError as error:
            if type(error) is not TrackingError:
                raise
            refused.append(record)
            reason = error
    spool.keep_only(refused)
    if reason is not None:
        raise reason


def _countable(value: Any) -> Any:
    """A mapping of counts counts as a number for the guard's names, and its keys are looked at as text."""
    return value if isinstance(value, int | float) else json.dumps(value, default=str)


def now_ms() -> int:
    """The time in ms since the epoch, as MLflow counts it."""
    return time.time_ns() // 1_000_000
