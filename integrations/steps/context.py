"""What all steps share: the versions that they are part of, and where they say what they did."""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covidctnet.config import Config, parse_config
from covidctnet.files import read_json, write_json
from covidctnet.progress import Progress
from integrations.step_events import tell_events

if TYPE_CHECKING:
    from integrations.tracking import Tracker

SECONDS = "seconds.json"
"""How long a step took, beside its results."""


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """What a pipeline run starts from.

    Attributes:
        data_version: DVC's hash of the cohort.
        config: all stages.
        code_version: of this code.
        tracking: fields of `integrations.tracking.TrackingSettings`.
    """

    data_version: str
    config: Config
    code_version: str
    tracking: Mapping[str, Any]

    @classmethod
    def parse(cls, values: Mapping[str, str]) -> "RunContext":
        """From the plain values that a component gets; `config` and `tracking` are JSON."""
        return cls(
            data_version=values["data_version"],
            config=parse_config(json.loads(values["config"])),
            code_version=values["code_version"],
            tracking=json.loads(values["tracking"]),
        )

    @property
    def run_key(self) -> str:
        """Names the run: the same data, configuration and code give the same key, also after an interruption."""
        return run_key(self.data_version, self.config.digest, self.code_version)


def run_key(data_version: str, config_digest: str, code_version: str) -> str:
    """Hash of what a pipeline run starts from."""
    text = json.dumps([data_version, config_digest, code_version])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step that is under way.

    Attributes:
        run: what it is part of.
        tracker: its record in MLflow.
        on_progress: tells the pipeline's runner.
        started: monotonic time of its start.
    """

    run: RunContext
    tracker: "Tracker"
    on_progress: Progress
    started: float

    def save_seconds(self, folder: Path) -> None:
        """Keep the time so far beside the results."""
        write_json(folder / SECONDS, round(time.monotonic() - self.started, 2))


def load_seconds(folder: Path) -> float:
    """How long the step took that wrote a folder."""
    return float(read_json(folder / SECONDS))


@contextmanager
def open_step(name: str, run: Mapping[str, str], *, last: bool = False) -> Iterator[Step]:
    """Run a step under a name, with events on standard output and a child run in MLflow.

    Args:
        name: of the step; shards under way at the same time need different names.
        run: see `RunContext.parse`.
        last: the pipeline ends with it.

    Raises:
        TrackingError: MLflow cannot be reached at the start.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    started = time.monotonic()
    with tell_events(name) as on_progress:
        from integrations.tracking import TrackingSettings, track_step

        context = RunContext.parse(run)
        lineage = {
            "data_version": context.data_version,
            "config_digest": context.config.digest,
            "code_version": context.code_version,
        }
        settings = TrackingSettings(**context.tracking)
        with track_step(name, run_key=context.run_key, settings=settings, lineage=lineage, last=last) as tracker:
            yield Step(run=context, tracker=tracker, on_progress=on_progress, started=started)
