"""What the commands share: consoles, progress bars with the time left, refusals and tables."""

import importlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from covidctnet.progress import Progress as Report
from covidctnet.progress import silent

out = Console()
err = Console(stderr=True)


def complain(message: str) -> None:
    """Say in one line, on standard error, why the command ends."""
    err.print(" ".join(message.split()), style="bold red", markup=False, highlight=False, soft_wrap=True)


def load_libraries() -> None:
    """Load TensorFlow and Keras, which takes seconds, without their start-up messages."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="keras|tensorflow")
    # Some messages are written by compiled code before any setting is read.
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            importlib.import_module("keras")
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@contextmanager
def progress_bars(*, quiet: bool) -> Iterator[Report]:
    """Yield a function that shows one bar a stage, with the time left; nothing is shown when quiet."""
    if quiet:
        yield silent
        return
    columns = (
        TextColumn("{task.description:<18}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=err, disable=not sys.stderr.isatty()) as bars:

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
                if not sys.stderr.isatty():
                    err.print(f"{stage} ...", highlight=False)
            bars.update(tasks[stage], completed=done, total=total)

        yield report


def print_json(text: str) -> None:
    """Write JSON to standard output as it is, for machines."""
    sys.stdout.write(text + "\n")


def table(title: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]], *, whole: tuple[str, ...] = ()) -> Table:
    """A table with a title; numbers stand to the right. Cells of the columns `whole` stay on one line, none is cut."""
    made = Table(title=title, title_justify="left", show_edge=False)
    for number, name in enumerate(columns):
        made.add_column(name, justify="left" if number == 0 else "right", no_wrap=name in whole, overflow="fold")
    for row in rows:
        made.add_row(*(str(cell) for cell in row))
    return made
