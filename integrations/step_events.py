"""What a step says while it runs: one JSON object a line on standard output.

A cluster collects these lines as the step's log; `pipelines.local_run` reads them to show progress, to say in one
line why a step failed, and to know which processes an earlier, killed run left behind.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Literal

from covidctnet.errors import CovidCTNetError
from covidctnet.progress import Progress

_MARK = '{"covidctnet_step": '


@dataclass(frozen=True, kw_only=True)
class StepEvent:
    """One thing that happened in a step.

    Attributes:
        covidctnet_step: name of the step, with its shard.
        event: what happened.
        process: identifier of the step's process.
        stage: what makes progress, for `progress`.
        done: finished pieces, for `progress`.
        total: all pieces, for `progress`.
        seconds: since the step started.
        error: class of the error, for `failed`.
        message: what a user should read, for `failed`; empty where the error is none of the product's.
    """

    covidctnet_step: str
    event: Literal["started", "progress", "failed", "finished"]
    process: int
    stage: str = ""
    done: int = 0
    total: int = 0
    seconds: float = 0.0
    error: str = ""
    message: str = ""

    def to_line(self) -> str:
        """The event as one line."""
        return json.dumps(asdict(self))


def parse_event(line: str) -> StepEvent | None:
    """The event that a line of a step's output holds, None for any other line."""
    text = line.strip()
    if not text.startswith(_MARK):
        return None
    try:
        values = json.loads(text)
    except ValueError:
        return None
    return StepEvent(**{field.name: values[field.name] for field in fields(StepEvent) if field.name in values})


@contextmanager
def tell_events(step: str) -> Iterator[Progress]:
    """Tell of a step's start, progress and end; yields the function to tell of progress with."""
    start = time.monotonic()

    def tell(event: Literal["started", "progress", "failed", "finished"], **values: str | int) -> None:
        seconds = round(time.monotonic() - start, 2)
        told = StepEvent(covidctnet_step=step, event=event, process=os.getpid(), seconds=seconds, **values)  # type: ignore[arg-type]
        sys.stdout.write(told.to_line() + "\n")
        sys.stdout.flush()

    def on_progress(stage: str, done: int, total: int) -> None:
        tell("progress", stage=stage, done=done, total=total)

    tell("started")
    try:
        yield on_progress
    except CovidCTNetError as error:
        tell("failed", error=type(error).__name__, message=str(error))
        raise
    except BaseException as error:
        tell("failed", error=type(error).__name__)
        raise
    tell("finished")
