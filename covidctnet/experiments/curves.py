"""Figures of experiments that set arms or folds side by side."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from covidctnet.evaluation.bootstrap import Estimate
from covidctnet.evaluation.outcomes import CaseOutcome
from covidctnet.evaluation.reliability import expected_calibration_error, reliability_bins
from covidctnet.experiments.answers import FoldAnswers
from covidctnet.experiments.comparison import METRICS, Comparison, measure_answers
from covidctnet.labels import LABELS
from covidctnet.report.curves import draw_matrix
from covidctnet.report.style import CLASS_COLOURS, INK, PANEL, SOFT, new_figure, styled

Arms = Mapping[str, Sequence[FoldAnswers]]

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
_SHOWN = ("macro_auc", "covid_auc", "accuracy", "brier")


@styled
def arms_learning_figure(arms: Arms) -> Figure:
    """Loss and accuracy by epoch, training and validation: a column an arm, the band is the range over seeds."""
    figure = new_figure(2.9 * len(arms) + 0.4, 5.2)
    grid = figure.subplots(2, len(arms), squeeze=False, sharey="row", sharex="col")
    for column, (name, entries) in enumerate(arms.items()):
        for row, key in enumerate(("loss", "accuracy")):
            axes = grid[row, column]
            for part, label, colour in (
                (key, "training", CLASS_COLOURS[0]),
                (f"val_{key}", "validation", CLASS_COLOURS[1]),
            ):
                _draw_band(axes, [entry.history[part] for entry in entries], label, colour)
            axes.set_facecolor(PANEL)
            axes.grid(visible=True, color="white", linewidth=1.2)
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        grid[0, column].set_title(name[:1].upper() + name[1:])
        grid[1, column].set_xlabel("Epoch")
        grid[1, column].set_ylim(0.0, 1.02)
    grid[0, 0].set_ylabel("Loss")
    grid[1, 0].set_ylabel("Accuracy")
    grid[0, -1].legend()
    return figure


def _draw_band(axes: Axes, histories: Sequence[Sequence[float]], label: str, colour: str) -> None:
    shortest = min(len(history) for history in histories)
    values = np.array([history[:shortest] for history in histories])
    epochs = np.arange(1, shortest + 1)
    if len(values) > 1:
        axes.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.18, linewidth=0)
    axes.plot(epochs, values.mean(axis=0), color=colour, label=label, marker="o" if shortest < 3 else "")


@styled
def arms_confusion_figure(arms: Arms) -> Figure:
    """A confusion matrix an arm, over the test patients of all seeds."""
    columns = min(2, len(arms))
    rows = -(-len(arms) // columns)
    figure = new_figure(4.6 * columns, 3.7 * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (name, entries) in zip(grid, arms.items(), strict=False):
        counts = np.zeros((len(LABELS), len(LABELS)), int)
        for entry in entries:
            for outcome in entry.calibrated():
                counts[outcome.label, outcome.predicted] += 1
        draw_matrix(axes, counts.tolist(), LABELS, LABELS)
        axes.set_title(name[:1].upper() + name[1:])
    for axes in grid[len(arms) :]:
        axes.set_axis_off()
    return figure


@styled
def seeds_figure(arms: Arms) -> Figure:
    """The metrics of each seed in every arm, a line a seed."""
    figure = new_figure(3.1 * len(_SHOWN), 1.6 + 0.5 * len(arms))
    grid = figure.subplots(1, len(_SHOWN), squeeze=False, sharey=True)[0]
    places = np.arange(len(arms))
    seeds = [entry.seed for entry in next(iter(arms.values()))]
    measured = [[measure_answers(entry) for entry in entries] for entries in arms.values()]
    for axes, metric in zip(grid, _SHOWN, strict=True):
        for number, seed in enumerate(seeds):
            values = [arm[number][metric] if number < len(arm) else None for arm in measured]
            known = [(value, place) for value, place in zip(values, places, strict=True) if value is not None]
            axes.plot(
                *zip(*known, strict=True), marker="o", color=_COLOURS[number % len(_COLOURS)], label=f"seed {seed}"
            )
        axes.set_xlabel(METRICS[metric])
        axes.grid(visible=True, axis="x")
    grid[0].set_yticks(places, list(arms))
    grid[0].set_ylim(len(arms) - 0.5, -0.5)
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside upper right", ncols=len(seeds))
    return figure


@styled
def difference_figure(comparisons: Sequence[Comparison]) -> Figure:
    """Difference of the tested arm and each other one, with both intervals."""
    figure = new_figure(3.1 * len(_SHOWN), 1.4 + 0.55 * len(comparisons))
    grid = figure.subplots(1, len(_SHOWN), squeeze=False, sharey=True)[0]
    for axes, metric in zip(grid, _SHOWN, strict=True):
        axes.axvline(0.0, color=SOFT, linewidth=1.0, linestyle=(0, (4, 3)))
        for place, comparison in enumerate(comparisons):
            found = comparison.of(metric)
            if found.seeds is not None:
                axes.plot([found.seeds.low, found.seeds.high], [place, place], color=SOFT, linewidth=1.2)
            _draw_estimate(axes, place, found.patients, CLASS_COLOURS[0])
        low, high = axes.get_xlim()
        # With two seeds, Student's interval reaches beyond any possible difference.
        axes.set_xlim(max(low, -1.0), min(high, 1.0))
        axes.set_xlabel(METRICS[metric])
        axes.grid(visible=True, axis="x")
    grid[0].set_yticks(range(len(comparisons)), [f"against {comparison.reference}" for comparison in comparisons])
    grid[0].set_ylim(len(comparisons) - 0.5, -0.5)
    return figure


@styled
def forest_figure(groups: Sequence[tuple[str, Estimate, Estimate]], words: str, names: tuple[str, str]) -> Figure:
    """Two estimates a group, with their intervals.

    Args:
        groups: name and both estimates.
        words: what is measured.
        names: of the two.
    """
    figure = new_figure(7.6, 1.5 + 0.48 * len(groups))
    axes = figure.add_subplot()
    for place, (_, first, second) in enumerate(groups):
        _draw_estimate(axes, place - 0.14, first, CLASS_COLOURS[1], names[0] if place == 0 else None)
        _draw_estimate(axes, place + 0.14, second, CLASS_COLOURS[0], names[1] if place == 0 else None)
    axes.set_yticks(range(len(groups)), [name for name, _, _ in groups])
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.grid(visible=True, axis="x")
    axes.set(xlim=(0.0, 1.02), xlabel=words)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2)
    return figure


def _draw_estimate(axes: Axes, place: float, estimate: Estimate, colour: str, label: str | None = None) -> None:
    if estimate.value is None:
        return
    if estimate.low is not None and estimate.high is not None:
        axes.plot([estimate.low, estimate.high], [place, place], color=colour, linewidth=3.0)
    axes.plot([estimate.value], [place], marker="o", markersize=6, color=colour, linestyle="", label=label)


@styled
def calibration_figure(before: Sequence[CaseOutcome], after: Sequence[CaseOutcome]) -> Figure:
    """Reliability diagrams before and after temperature scaling."""
    figure = new_figure(8.6, 4.4)
    for axes, outcomes, title in zip(
        figure.subplots(1, 2, sharey=True), (before, after), ("Before", "After temperature scaling"), strict=True
    ):
        bins = reliability_bins(outcomes)
        axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1.0, linestyle=(0, (4, 3)), label="calibrated")
        axes.plot(
            [part.confidence for part in bins],
            [part.accuracy for part in bins],
            marker="o",
            color=CLASS_COLOURS[0],
            label="tested patients",
            clip_on=False,
        )
        for part in bins:
            axes.annotate(
                str(part.cases),
                (part.confidence, part.accuracy),
                (4, -11),
                textcoords="offset points",
                color=INK,
                fontsize=8,
            )
        axes.grid(visible=True)
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="Confidence: highest probability", aspect="equal")
        axes.set_title(f"{title}: error {expected_calibration_error(outcomes) or 0.0:.3f}")
        axes.legend(loc="upper left")
    figure.axes[0].set_ylabel("Share of right answers")
    return figure
