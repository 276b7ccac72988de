"""Records of one step, how each is sent to MLflow, and a folder that keeps those that could not be sent.

```
<spool>/<step>-<id>/
  step.json        which step of which run, and where it was to go
  records.jsonl    one record a line, in the order in which they were made
  files/           copies of the artifacts
```

Sending a record twice changes nothing: metrics carry their time, parameters and tags their value.
"""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covidctnet.errors import TrackingError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_PARAMS_A_REQUEST = 100
_METRICS_A_REQUEST = 1000
_LONGEST_PARAM = 6000


@dataclass(frozen=True, kw_only=True)
class Record:
    """One thing to send.

    Attributes:
        kind: `params`, `metrics`, `tags`, `dataset`, `artifact` or `end`.
        values: what is sent; metrics are rows of name, value, time in ms and step.
    """

    kind: str
    values: dict[str, Any] = field(default_factory=dict)


def send_record(client: "MlflowClient", run_id: str, record: Record) -> None:
    """Send one record to the run."""
    from mlflow.entities import Metric, Param, RunTag

    values = record.values
    if record.kind == "params":
        params = [Param(key, str(value)[:_LONGEST_PARAM]) for key, value in values.items()]
        for start in range(0, len(params), _PARAMS_A_REQUEST):
            client.log_batch(run_id, params=params[start : start + _PARAMS_A_REQUEST])
    elif record.kind == "metrics":
        rows = [Metric(key, value, time, step) for key, value, time, step in values["rows"]]
        for start in range(0, len(rows), _METRICS_A_REQUEST):
            client.log_batch(run_id, metrics=rows[start : start + _METRICS_A_REQUEST])
    elif record.kind == "tags":
        client.log_batch(run_id, tags=[RunTag(key, str(value)) for key, value in values.items()])
    elif record.kind == "dataset":
        _send_dataset(client, run_id, values)
    elif record.kind == "artifact":
        path, place = values["path"], values["place"] or None
        (client.log_artifacts if Path(path).is_dir() else client.log_artifact)(run_id, path, place)
    else:
        client.set_terminated(run_id, status=values["status"], end_time=values["time"])


def _send_dataset(client: "MlflowClient", run_id: str, values: dict[str, Any]) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=values["name"],
        # MLflow takes 36 characters; the whole version is in the profile.
        digest=values["version"][:36],
        source_type="dvc",
        source=json.dumps({"version": values["version"]}),
        profile=json.dumps(values["summary"]),
    )
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", values["context"])])])


class Spool:
    """A folder that keeps the records of one step until MLflow takes them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def _records(self) -> Path:
        return self.folder / "records.jsonl"

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits here."""
        return not self._records.is_file()

    def open(self, step: dict[str, Any]) -> None:
        """Make the folder and note which step the records belong to."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / "step.json.partial"
        partial.write_text(json.dumps(step, indent=2), "utf-8")
        os.replace(partial, self.folder / "step.json")

    def append(self, record: Record) -> None:
        """Keep a record, with a copy of its files, even if the process is killed right after."""
        if record.kind == "artifact":
            source = Path(record.values["path"])
            copy = self.folder / "files" / str(sum(1 for _ in self.folder.glob("files/*"))) / source.name
            copy.parent.mkdir(parents=True)
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, copy)
            place = copy.relative_to(self.folder).as_posix()
            record = Record(kind="artifact", values={**record.values, "path": place})
        with self._records.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(record)) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def step(self) -> dict[str, Any]:
        """Which step the records belong to.

        Raises:
            TrackingError: the folder is no spool.
        """
        try:
            step: dict[str, Any] = json.loads((self.folder / "step.json").read_text("utf-8"))
        except (OSError, ValueError):
            raise TrackingError("the folder is no spool of tracking records: it has no step.json") from None
        return step

    def records(self) -> Iterator[Record]:
        """The records in their order; a line that was cut off when the process was killed is the last and left out."""
        if self.is_empty:
            return
        for line in self._records.read_text("utf-8").splitlines():
            try:
                read = json.loads(line)
            except ValueError:
                return
            if read["kind"] == "artifact":
                read["values"]["path"] = str(self.folder / read["values"]["path"])
            yield Record(**read)

    def keep_only(self, records: list[Record]) -> None:
        """Forget all records but these; with none left the folder goes."""
        if not records:
            shutil.rmtree(self.folder)
            return
        lines = []
        for record in records:
            values = dict(record.values)
            if record.kind == "artifact":
                values["path"] = Path(values["path"]).relative_to(self.folder).as_posix()
            lines.append(json.dumps(asdict(Record(kind=record.kind, values=values))))
        partial = self._records.with_suffix(".partial")
        partial.write_text("\n".join(lines) + "\n", "utf-8")
        os.replace(partial, self._records)
