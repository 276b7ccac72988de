"""The paper's figures beside those of the run, each with its number of cases and its interval."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from covidctnet.bundle import Bundle
from covidctnet.evaluation.bootstrap import Estimate
from covidctnet.evaluation.published import (
    HOLDOUT,
    READER_TEST,
    PublishedFigure,
    gaps,
    published_figures,
    published_source,
)
from covidctnet.evaluation.tables import format_interval, format_value
from covidctnet.experiments.results import ExperimentResult
from covidctnet.files import read_json
from covidctnet.readers.files import SCORES
from covidctnet.readers.tables import WORDS
from covidctnet.report.document import Bullets, Grid, Paragraph, Section

CONFIDENCE = 0.95
_LACKING = "not run"
_NAMES = {**WORDS, "covid auc": "area under the Covid-19 ROC curve"}
_IN_BUNDLE = {
    "accuracy": ("three_class", "accuracy"),
    "covid accuracy": ("covid", "accuracy"),
    "covid sensitivity": ("covid", "sensitivity"),
    "covid specificity": ("covid", "specificity"),
    "covid auc": ("covid", "auc"),
}


def comparison_section(results: Mapping[str, ExperimentResult], folder: Path, bundle: Bundle) -> Section:
    """The comparison, and what cannot be rebuilt from the paper.

    Args:
        results: by experiment.
        folder: of the experiments.
        bundle: whose hold-out stands beside the paper's.
    """
    scores: Mapping[str, Any] = read_json(folder / "readers" / SCORES) if "readers" in results else {}
    rows = tuple(_row(figure, scores, bundle) for figure in published_figures())
    simulated = any(result.simulated for result in results.values())
    warning = (
        "This run's cases are phantoms, or its readers are simulated: the two columns are about different things, and "
        "a likeness between them means nothing."
        if simulated
        else "Other patients, other scanners, other readers: a difference from the paper is no verdict on either."
    )
    return Section(
        name="paper",
        title="The paper's figures beside this run",
        blocks=(
            Paragraph(kind="alert" if simulated else "notice", text=warning),
            Grid(
                title="Paper and run",
                columns=("figure", "paper", "its n", "its interval", "this run", "n", "interval"),
                rows=rows,
                note=f"Paper: {published_source()}. {CONFIDENCE:.0%} intervals; the paper's are rebuilt, see below. "
                "The run's are exact for shares of cases, else by resampling patients.",
            ),
            Paragraph(text="What cannot be rebuilt from the paper:"),
            Bullets(texts=tuple(gaps())),
        ),
    )


def _row(figure: PublishedFigure, scores: Mapping[str, Any], bundle: Bundle) -> tuple[str, ...]:
    published = figure.estimate(CONFIDENCE)
    readers = f", {figure.readers} readers" if figure.readers else ""
    hits = f" ({figure.fraction[0]} of {figure.fraction[1]})" if figure.fraction else ""
    about = f"{figure.fraction[1]} of " if figure.fraction and figure.fraction[1] != figure.cases else ""
    paper = (
        f"{Decimal(figure.percent) / 100}{hits}",
        f"{about}{figure.cases}{readers}",
        _interval(published) or figure.gap,
    )
    name = f"{figure.setting}, {figure.rater}: {_NAMES[figure.metric]}"
    return (name, *paper, *_own(figure, scores, bundle))


def _own(figure: PublishedFigure, scores: Mapping[str, Any], bundle: Bundle) -> tuple[str, str, str]:
    if figure.setting == READER_TEST:
        found = scores.get("raters", {}).get(figure.rater, {}).get(figure.metric)
        cases, covid = (scores.get("about", {}).get(name) for name in ("cases", "covid"))
    else:
        assert figure.setting == HOLDOUT
        metrics = (bundle.metrics or {}).get("metrics", {})
        group, key = _IN_BUNDLE[figure.metric]
        found, cases = metrics.get(group, {}).get(key), metrics.get("cases")
        covid = sum(metrics["covid"]["confusion"][1]) if metrics else None
    if found is None:
        return _LACKING, "", ""
    counts = {
        "covid sensitivity": f"{covid} of {cases}",
        "covid specificity": f"{(cases or 0) - (covid or 0)} of {cases}",
    }
    estimate = Estimate(value=found["value"], low=found["low"], high=found["high"])
    return format_value(estimate.value), counts.get(figure.metric, str(cases)), _interval(estimate)


def _interval(estimate: Estimate) -> str:
    return format_interval(estimate).removesuffix(" (exact)") if estimate.low is not None else ""
