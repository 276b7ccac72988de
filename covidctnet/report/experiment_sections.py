"""Results of experiments as sections of a report."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from covidctnet.evaluation.tables import format_value
from covidctnet.experiments.results import EXPERIMENTS, RESULT_FILE, Cell, ExperimentResult, Table, load_result
from covidctnet.files import read_json
from covidctnet.readers.files import CLOUDS
from covidctnet.report.document import Block, Bullets, Grid, Paragraph, Picture, Section, TurningClouds

_LONG = 25
"""A table of more rows is folded."""


def load_results(folder: Path) -> dict[str, ExperimentResult]:
    """The results that lie in a folder of experiments, by name, in the order of `EXPERIMENTS`.

    Raises:
        ExperimentError: a result is there and cannot be read: a report without it would pass for whole.
    """
    return {name: load_result(folder / name) for name in EXPERIMENTS if (folder / name / RESULT_FILE).is_file()}


def overview(results: Mapping[str, ExperimentResult], warnings: Sequence[Paragraph] = ()) -> Section:
    """What the report holds, what it lacks, and what must be known before any figure.

    Args:
        results: by experiment.
        warnings: about the bundle.
    """
    blocks: list[Block] = [*warnings]
    simulated = [result.title for result in results.values() if result.simulated]
    if simulated:
        blocks.append(
            Paragraph(
                kind="alert",
                text=f"Phantoms or simulated readers are in: {', '.join(simulated)}. Their figures show that the "
                "experiments run and what they would say; they are no figures of patients or of people, and nothing "
                "here is clinical accuracy.",
            )
        )
    rows = tuple(_overview_row(name, results.get(name)) for name in EXPERIMENTS)
    columns = ("experiment", "cases", "profile", "seeds", "data", "code", "minutes")
    blocks.append(Grid(title="Experiments", columns=columns, rows=rows))
    missing = [name for name in EXPERIMENTS if name not in results]
    if missing:
        commands = "; ".join(f"covidctnet experiment {name}" for name in missing)
        blocks.append(Paragraph(kind="notice", text=f"Not run: {', '.join(missing)}. To run them: {commands}."))
    versions = {(result.data_version, result.code_version) for result in results.values()}
    if len({code for _, code in versions}) > 1:
        blocks.append(
            Paragraph(kind="notice", text="The experiments ran with different versions of the code; see the table.")
        )
    return Section(name="overview", title="What is here", blocks=tuple(blocks))


def _overview_row(name: str, result: ExperimentResult | None) -> tuple[str, ...]:
    if result is None:
        return (f"{name}: not run", *[""] * 6)
    cases = ", ".join(f"{count} {label}" for label, count in result.cases.items())
    return (
        f"{name}: {result.title}",
        cases + (" (simulated)" if result.simulated else ""),
        result.profile,
        ", ".join(map(str, result.seeds)),
        result.data_version,
        result.code_version,
        f"{result.seconds / 60:.1f}",
    )


def experiment_section(result: ExperimentResult, folder: Path) -> Section:
    """One experiment: its question, what it found, tables and figures.

    Args:
        result: of the experiment.
        folder: that holds its figures.
    """
    neutral = tuple(statement.text for statement in result.statements if statement.tone == "neutral")
    blocks: list[Block] = [Paragraph(text=result.question)]
    blocks += [Paragraph(kind="notice", text=one.text) for one in result.statements if one.tone == "warning"]
    if neutral:
        blocks.append(Bullets(texts=neutral))
    blocks += [_grid(table) for table in result.tables]
    for figure in result.figures:
        caption = f"{figure.title}. {figure.caption}"
        blocks.append(Picture(path=folder / figure.file, caption=caption, alt=caption))
    clouds = result.records.get(CLOUDS.removesuffix(".json"))
    if clouds:
        blocks.append(
            TurningClouds(
                clouds=read_json(folder / clouds),
                caption="Drag or arrow keys turn, wheel or + and - zoom, 0 goes back. Surface of the lungs and "
                "their residuals: orange where denser than the denoiser expects, blue where thinner.",
            )
        )
    return Section(name=result.experiment, title=result.title, blocks=tuple(blocks))


def _grid(table: Table) -> Grid:
    return Grid(
        title=table.title,
        columns=table.columns,
        rows=tuple(tuple(_text(cell) for cell in row) for row in table.rows),
        note=table.note,
        folded=len(table.rows) > _LONG,
    )


def _text(cell: Cell) -> str:
    if cell is None:
        return "not computable"
    return format_value(cell) if isinstance(cell, float) else str(cell)
