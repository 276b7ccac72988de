"""Figures of the answers and of the training: ROC, confusion, reliability, learning curves."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from covidctnet.evaluation.metrics import Metrics
from covidctnet.evaluation.outcomes import CaseOutcome
from covidctnet.evaluation.reliability import BINS, reliability_bins
from covidctnet.evaluation.roc import roc_curves
from covidctnet.evaluation.roc_band import RocBand
from covidctnet.labels import LABELS
from covidctnet.report.style import CLASS_COLOURS, INK, PANEL, RULE, SHARE, SOFT, new_figure, styled

ROC_LINES: dict[str, Any] = {
    **{name: {"color": CLASS_COLOURS[index]} for index, name in enumerate(LABELS)},
    "macro": {"color": INK, "linestyle": (0, (5, 2))},
    "micro": {"color": SOFT, "linestyle": (0, (1, 1.2))},
}
_WIDE_RANGE = 20.0


@styled
def roc_figure(
    outcomes: Sequence[CaseOutcome], *, among: str = "hold-out", bands: Mapping[str, RocBand] | None = None
) -> Figure:
    """ROC curve of each class against the rest, with macro and micro average.

    Args:
        outcomes: one a case.
        among: names the cases.
        bands: by class, drawn behind its curve.
    """
    figure = new_figure(5.3, 5.3)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=RULE, linewidth=1.0, zorder=0)
    for name, band in (bands or {}).items():
        draw_band(axes, band, ROC_LINES[name]["color"])
    for curve in roc_curves(outcomes):
        average = curve.name in {"macro", "micro"}
        axes.plot(
            curve.false_positive_rate,
            curve.true_positive_rate,
            label=f"{curve.name}{' average' if average else ' or rest'}, AUC {curve.auc:.3f}",
            zorder=2 if average else 3,
            clip_on=False,
            **ROC_LINES[curve.name],
        )
    axes.grid(visible=True)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set(xlabel="1 - specificity", ylabel="Sensitivity")
    axes.set_title(f"ROC, {len(outcomes)} {among} cases")
    axes.legend(loc="lower right")
    return figure


def draw_band(axes: Axes, band: RocBand, colour: str, label: str | None = None) -> None:
    """The band of a curve, pale enough that several can lie on each other."""
    axes.fill_between(
        band.false_positive_rate, band.low, band.high, color=colour, alpha=0.15, linewidth=0, zorder=1, label=label
    )


@styled
def confusion_figure(metrics: Metrics) -> Figure:
    """Confusion matrices: three classes, and Covid-19 against the rest at the decision threshold."""
    figure = new_figure(8.4, 4.0)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2.4))
    draw_matrix(left, metrics.three_class.confusion, LABELS, LABELS)
    left.set_title("Most probable class")
    draw_matrix(right, metrics.covid.confusion, ("Rest", "Covid-19"), ("Negative", "Positive"))
    right.set_title(f"Covid-19 from probability {metrics.threshold:.2f}")
    return figure


def draw_matrix(axes: Axes, counts: Sequence[Sequence[int]], truth: Sequence[str], answers: Sequence[str]) -> None:
    """Draw a confusion matrix: counts and shares of each row."""
    table = np.array(counts)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap=SHARE, vmin=0.0, vmax=1.0, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 0.75 else INK
        axes.text(column, row - 0.08, str(table[row, column]), ha="center", va="center", color=colour, fontsize=15)
        if table[row].any():
            axes.text(column, row + 0.24, f"{share:.0%}", ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(len(answers)), answers)
    axes.set_yticks(range(len(truth)), [f"{name}\nn = {n}" for name, n in zip(truth, table.sum(1), strict=True)])
    axes.set_xticks(np.arange(len(answers) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(truth) + 1) - 0.5, minor=True)
    axes.grid(visible=True, which="minor", color="white", linewidth=2.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_color(RULE)
    axes.spines[:].set_visible(True)
    axes.set(xlabel="Answer", ylabel="Truth")


@styled
def reliability_figure(outcomes: Sequence[CaseOutcome]) -> Figure:
    """Reliability diagram of the highest probability, with the number of cases in each bin."""
    figure = new_figure(5.3, 5.3)
    axes, counts = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    bins = reliability_bins(outcomes)
    axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1.0, linestyle=(0, (4, 3)), label="calibrated")
    for part in bins:
        axes.plot([part.confidence] * 2, [part.confidence, part.accuracy], color=RULE, linewidth=2.5, zorder=1)
    axes.plot(
        [part.confidence for part in bins],
        [part.accuracy for part in bins],
        marker="o",
        markersize=7,
        color=CLASS_COLOURS[0],
        label="hold-out",
        clip_on=False,
    )
    axes.grid(visible=True)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="Share of right answers")
    axes.set_title("How often is an answer of this confidence right?")
    axes.legend(loc="upper left")
    counts.bar(
        [(part.low + part.high) / 2 for part in bins],
        [part.cases for part in bins],
        width=0.9 / BINS,
        color=CLASS_COLOURS[0],
        alpha=0.55,
    )
    counts.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    counts.set(xlabel="Confidence: highest probability", ylabel="Cases")
    return figure


@styled
def learning_figure(histories: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Losses and metrics by epoch, training and validation, a panel each."""
    panels = [
        (network, name)
        for network, history in histories.items()
        for name in history
        if not name.startswith("val_") and "learning_rate" not in name
    ]
    columns = min(3, max(1, len(panels)))
    rows = max(1, -(-len(panels) // columns))
    figure = new_figure(3.4 * columns + 0.4, 2.9 * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (network, name) in zip(grid, panels, strict=False):
        _learning_panel(axes, network, name, histories[network])
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    return figure


def _learning_panel(axes: Axes, network: str, name: str, history: Mapping[str, Sequence[float]]) -> None:
    drawn: list[float] = []
    lines = ((name, "training", CLASS_COLOURS[0]), (f"val_{name}", "validation", CLASS_COLOURS[1]))
    for key, label, colour in lines:
        values = np.array(history.get(key, ()), np.float64)
        if not len(values):
            continue
        epochs = np.arange(1, len(values) + 1)
        axes.plot(epochs, values, color=colour, label=label, marker="o" if len(values) < 3 else "")
        drawn += values[np.isfinite(values)].tolist()
    if drawn and min(drawn) > 0 and max(drawn) / min(drawn) > _WIDE_RANGE:
        axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
    axes.set_facecolor(PANEL)
    axes.grid(visible=True, color="white", linewidth=1.2)
    axes.set_title(f"{network.capitalize()}: {name.replace('_', ' ')}")
    axes.set_xlabel("Epoch")
    axes.legend()
