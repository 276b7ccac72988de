"""Write the report: one HTML file without any external reference, and its figures as PNG."""

import base64
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covidctnet.evaluation.tables import format_interval, format_value, metric_rows
from covidctnet.labels import LABELS
from covidctnet.report import words
from covidctnet.report.data import ReportData
from covidctnet.report.templates import load_template

if TYPE_CHECKING:
    from covidctnet.report.figures import SavedFigure

SPLITS = ("denoiser", "train", "validation", "holdout")
SPLIT_TITLES = ("denoiser", "training", "validation", "hold-out")


def render_report(data: ReportData, output: Path) -> Path:
    """Write `report.html` and `figures/*.png`; each is complete or as it was before.

    Args:
        data: what to show.
        output: folder, made where it does not exist.

    Returns:
        Path of `report.html`.
    """
    from covidctnet.report.figures import save_figures

    output.mkdir(parents=True, exist_ok=True)
    figures = save_figures(data, output / "figures")
    path, partial = output / "report.html", output / "report.html.partial"
    partial.write_text(render_html(data, figures), "utf-8")
    os.replace(partial, path)
    return path


def render_html(data: ReportData, figures: "dict[str, SavedFigure]") -> str:
    """The page as text, with the figures in it."""
    return load_template("report.html").render(
        data=data,
        metrics=data.metrics,
        disclaimer=words.DISCLAIMER,
        summary=words.summary(data),
        notes=words.notes(data),
        confounded=words.confounded(data),
        rows=metric_rows(data.metrics),
        cards=_cards(data),
        baselines=[
            (data.baselines.metadata.name, *_texts(data.baselines.metadata.macro_auc)),
            (data.baselines.lung_density.name, *_texts(data.baselines.lung_density.macro_auc)),
            ("CovidCTNet", *_texts(data.metrics.three_class.macro_auc)),
        ],
        contrast=[(c, _texts(c.infection_to_healthy), _texts(c.control_to_infection)) for c in data.contrast],
        cohort=_cohort_rows(data),
        split_titles=SPLIT_TITLES,
        labels=LABELS,
        wrong_count=sum(outcome.predicted != outcome.label for outcome in data.outcomes),
        figures={name: _embed(figure) for name, figure in figures.items()},
        config=json.dumps(data.config, indent=2),
        format_value=format_value,
    )


def _texts(estimate: Any) -> tuple[str, str]:
    return format_value(estimate.value), format_interval(estimate)


def _cards(data: ReportData) -> list[tuple[str, str, str]]:
    metrics = data.metrics
    named = (
        ("Accuracy, three classes", metrics.three_class.accuracy),
        ("Macro AUC", metrics.three_class.macro_auc),
        ("Covid-19 sensitivity", metrics.covid.sensitivity),
        ("Covid-19 specificity", metrics.covid.specificity),
    )
    return [(name, *_texts(estimate)) for name, estimate in named]


def _cohort_rows(data: ReportData) -> list[tuple[str, str, list[int]]]:
    """Patients by label and scanner, a column a split, and a last row with the sums."""
    keys = sorted({(LABELS.index(row.label), row.scanner) for row in data.cohort_table})
    rows = [
        (
            LABELS[label],
            scanner,
            [
                sum(
                    row.patients
                    for row in data.cohort_table
                    if (row.label, row.scanner, row.split) == (LABELS[label], scanner, split)
                )
                for split in SPLITS
            ],
        )
        for label, scanner in keys
    ]
    totals = [sum(counts[column] for _, _, counts in rows) for column in range(len(SPLITS))]
    return [*rows, ("All", "", totals)]


def _embed(figure: "SavedFigure") -> dict[str, str]:
    content = base64.b64encode(figure.path.read_bytes()).decode("ascii")
    return {"source": f"data:image/png;base64,{content}", "caption": figure.caption, "alt": figure.alt}
