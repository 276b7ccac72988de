"""The result of an experiment: tables, figures and plain statements in one document that a report can be made of."""

import json
import math
from dataclasses import asdict, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from covidctnet.errors import ExperimentError
from covidctnet.files import write_json

EXPERIMENTS = ("ablation", "patches", "readers", "scanners", "localisation", "crossval", "clinical")
"""Names of all experiments; the result of each lies in `runs/experiments/<name>/`."""

RESULT_FILE = "result.json"

_STRICT = ConfigDict(extra="forbid", strict=True)

ExperimentName = Literal["ablation", "patches", "readers", "scanners", "localisation", "crossval", "clinical"]
Cell = str | float | int | None
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
Text = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, config=_STRICT)
class Table:
    """A table.

    Attributes:
        name: unique in the result, for links and file names.
        title: heading for readers.
        columns: headings.
        rows: one value a column; None where there is no value.
        note: what a reader must know beside it.

    Raises:
        ExperimentError: a row has another number of values than there are columns, or a number is not finite.
    """

    name: Name
    title: Text
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows, 1):
            if len(row) != len(self.columns):
                raise ExperimentError(
                    f"table {self.name}: row {number} has {len(row)} values for {len(self.columns)} columns"
                )
            if any(isinstance(value, float) and not math.isfinite(value) for value in row):
                raise ExperimentError(f"table {self.name}: row {number} holds {row}; write None where no value is")


@dataclass(frozen=True, config=_STRICT)
class Figure:
    """A picture.

    Attributes:
        name: unique in the result.
        title: heading for readers.
        file: path relative to the result's folder.
        caption: what is shown, with units.

    Raises:
        ExperimentError: the path leaves the result's folder.
    """

    name: Name
    title: Text
    file: Text
    caption: str

    def __post_init__(self) -> None:
        _require_inside(self.file)


@dataclass(frozen=True, config=_STRICT)
class Statement:
    """One sentence or two about what was found; a warning where a reader could be misled without it."""

    text: Text
    tone: Literal["neutral", "warning"]


@dataclass(frozen=True, config=_STRICT)
class ExperimentResult:
    """What an experiment found.

    Attributes:
        experiment: one of `EXPERIMENTS`.
        title: heading for readers.
        question: what the experiment asks.
        profile: name of the configuration.
        seeds: of its repetitions, in their order.
        data_version, code_version: what it was run on and with.
        cases: by class, how many there were.
        simulated: whether cases are phantoms, or readers are simulated: no figure is then one of patients.
        statements: the answer, in the order of their weight.
        tables, figures: in the order in which a reader should meet them.
        seconds: from start to end, without steps that were used again.
        records: by name, path relative to the result's folder of a CSV, such as the answers by patient.

    Raises:
        ExperimentError: two tables or two figures have one name, or a record lies outside of the folder.
    """

    experiment: ExperimentName
    title: Text
    question: Text
    profile: str
    seeds: tuple[int, ...]
    data_version: str
    code_version: str
    cases: dict[str, int]
    simulated: bool
    statements: tuple[Statement, ...]
    tables: tuple[Table, ...]
    figures: tuple[Figure, ...]
    seconds: float
    records: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, names in (
            ("tables", [table.name for table in self.tables]),
            ("figures", [figure.name for figure in self.figures]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ExperimentError(f"two {what} of experiment {self.experiment} are called {twice[0]}")
        for file in self.records.values():
            _require_inside(file)


def write_result(folder: Path, result: ExperimentResult) -> Path:
    """Write `result.json` into a folder that holds the figures and records already.

    Raises:
        ExperimentError: a figure or a record is not there.
    """
    _require_files(folder, result)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / RESULT_FILE
    write_json(path, asdict(result))
    return path


def load_result(folder: Path) -> ExperimentResult:
    """Read the result of a folder.

    Raises:
        ExperimentError: there is none, a field is refused, or a figure or record that it names is missing.
    """
    path = folder / RESULT_FILE
    try:
        text = path.read_text("utf-8")
        json.loads(text)
    except FileNotFoundError:
        raise ExperimentError(
            f"{folder.name} holds no {RESULT_FILE}; run `covidctnet experiment {folder.name}` first"
        ) from None
    except (OSError, ValueError) as error:
        raise ExperimentError(
            f"{RESULT_FILE} of {folder.name} cannot be read: {error}; run the experiment again"
        ) from None
    try:
        result = TypeAdapter(ExperimentResult).validate_json(text)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise ExperimentError(f"{RESULT_FILE} of {folder.name} is refused: {'; '.join(lines)}") from None
    _require_files(folder, result)
    return result


def _require_inside(file: str) -> None:
    path = PurePosixPath(file)
    if path.is_absolute() or ".." in path.parts:
        raise ExperimentError(f"the path {file!r} must lie in the result's folder")


def _require_files(folder: Path, result: ExperimentResult) -> None:
    named = [*(figure.file for figure in result.figures), *result.records.values()]
    missing = [file for file in named if not (folder / file).is_file()]
    if missing:
        raise ExperimentError(
            f"the result of {result.experiment} names {missing[0]}, which is not there; run the experiment again"
        )
