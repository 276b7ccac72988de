"""The record of a local run: which steps ran, were reused or failed, and how long they took."""

import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from covidctnet.errors import PipelineError
from covidctnet.files import read_json, write_json
from integrations.step_events import StepEvent
from pipelines.settings import STEPS

_SHARD = re.compile(r"(.+) (\d+) of (\d+)")
_FOLDER = "runs"

State = Literal["running", "finished", "reused", "failed"]


@dataclass(kw_only=True)
class StepRecord:
    """One step, or one shard of it.

    Attributes:
        step: its name, with the shard.
        state: what became of it in the latest attempt of the run; `reused` where an earlier attempt finished it.
        seconds: how long it took when it ran.
        process: identifier of its process.
        error: class of the error, empty without one.
        message: what a user should read.
    """

    step: str
    state: State
    seconds: float = 0.0
    process: int = 0
    error: str = ""
    message: str = ""


@dataclass(kw_only=True)
class RunRecord:
    """A run of the pipeline on this machine, over all its attempts.

    Attributes:
        run_id: hash of all parameters; names the record.
        run_key: hash of data version, configuration and code; names the run in MLflow.
        profile, seed: of the configuration.
        data_version, config_digest, code_version: what was run on what.
        state: of the latest attempt.
        attempts: how often it was started.
        seconds: of the latest attempt, as a clock on the wall would show.
        open_ended: whether the steps are known only as they start, as in an experiment.
        steps: in the order in which they first started.
    """

    run_id: str
    run_key: str
    profile: str
    seed: int
    data_version: str
    config_digest: str
    code_version: str
    state: State = "running"
    attempts: int = 0
    seconds: float = 0.0
    open_ended: bool = False
    steps: list[StepRecord] = field(default_factory=list)

    def find(self, name: str) -> StepRecord | None:
        """The record of a step, None where it never started."""
        return next((step for step in self.steps if step.step == name), None)

    def apply(self, event: StepEvent) -> None:
        """Take over what a step said."""
        step = self.find(event.covidctnet_step)
        if step is None:
            step = StepRecord(step=event.covidctnet_step, state="running")
            self.steps.append(step)
        step.process, step.seconds = event.process, event.seconds
        step.state = event.event if event.event in {"failed", "finished"} else "running"
        step.error, step.message = event.error, event.message

    def reuse(self, component: str) -> list[str]:
        """Note that the finished outputs of a component are used again; returns the steps that are newly so."""
        # A component that a pipeline calls several times has a number behind its name.
        name = re.sub(r" \d+$", "", component.replace("-", " "))
        # Shards are reused one by one, and the cache does not say which: the first finished one stands for it.
        for step in self.steps:
            if f"{_base(step.step)} ".startswith(f"{name} ") and step.state == "finished":
                step.state = "reused"
                return [step.step]
        return []

    @property
    def totals(self) -> tuple[int, int]:
        """Steps that are done, and all of them as far as the number of shards is known."""
        shards = max([1, *(int(found[3]) for found in map(_SHARD.fullmatch, self._names()) if found)])
        total = sum(shards if name in {"preprocess", "extract residuals"} else 1 for name in _COUNTED)
        done = sum(step.state in {"finished", "reused"} for step in self.steps)
        return done, len(self.steps) if self.open_ended else total

    def _names(self) -> list[str]:
        return [step.step for step in self.steps]

    @property
    def seconds_by_step(self) -> dict[str, float]:
        """Seconds of each step in the order of the data flow, over its shards."""
        found = dict.fromkeys(_COUNTED, 0.0)
        for step in self.steps:
            found[_base(step.step)] = found.get(_base(step.step), 0.0) + step.seconds
        return {name: round(value, 1) for name, value in found.items() if value}

    @property
    def failed(self) -> StepRecord | None:
        """The step at which the latest attempt ended, None where none failed."""
        for state in ("failed", "running"):
            for step in self.steps:
                if step.state == state:
                    return step
        return None

    def path(self, workspace: Path) -> Path:
        """Where the record is kept."""
        return workspace / _FOLDER / f"{self.run_id}.json"

    def save(self, workspace: Path) -> None:
        """Write the record at once."""
        path = self.path(workspace)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, asdict(self))


_COUNTED = tuple(name for name in STEPS if name != "gather shards")


def _base(step: str) -> str:
    found = _SHARD.fullmatch(step)
    return found[1] if found else step


def load_record(path: Path) -> RunRecord:
    """Read a record."""
    values: dict[str, Any] = read_json(path)
    return RunRecord(**{**values, "steps": [StepRecord(**step) for step in values["steps"]]})


def find_record(workspace: Path, run_id: str = "") -> RunRecord:
    """A run of a workspace by its identifier, the latest without one.

    Raises:
        PipelineError: there is no such run.
    """
    paths = sorted((workspace / _FOLDER).glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    if not paths:
        raise PipelineError("no pipeline was run in this workspace; start one with: covidctnet pipeline run")
    if not run_id:
        return load_record(paths[-1])
    found = [path for path in paths if path.stem == run_id]
    if not found:
        raise PipelineError(f"this workspace has no run {run_id!r}; it has {', '.join(path.stem for path in paths)}")
    return load_record(found[0])
