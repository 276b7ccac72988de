"""Figures of a reader study: curves with readers in them, scores side by side, agreement, confusion."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from covidctnet.evaluation.bootstrap import Estimate
from covidctnet.evaluation.roc import roc_curves
from covidctnet.evaluation.roc_band import RocBand
from covidctnet.labels import COVID, LABELS
from covidctnet.readers.agreement import Agreement
from covidctnet.readers.answers import MODEL
from covidctnet.readers.compare import ReaderComparison
from covidctnet.readers.scores import ENDPOINTS, NO_CLASS
from covidctnet.report.curves import ROC_LINES, draw_band, draw_matrix
from covidctnet.report.forest import ForestRow, forest_figure
from covidctnet.report.style import CLASS_COLOURS, INK, RULE, SHARE, SOFT, new_figure, styled

ENDPOINT_TITLES = {
    "accuracy": "Accuracy, three classes",
    "covid accuracy": "Accuracy, two classes",
    "covid sensitivity": "Covid-19 sensitivity",
    "covid specificity": "Covid-19 specificity",
}
_MARKERS = "osD^vP*X<>"


@styled
def reader_roc_figure(found: ReaderComparison, bands: Mapping[str, RocBand]) -> Figure:
    """Left the model's Covid-19 curve with its band and each reader's point; right all classes and averages."""
    figure = new_figure(10.4, 5.3)
    left, right = figure.subplots(1, 2)
    curves = {curve.name: curve for curve in roc_curves(found.outcomes)}
    name = LABELS[COVID]
    if name in bands:
        draw_band(left, bands[name], CLASS_COLOURS[COVID], f"{found.confidence:.0%} band, pointwise")
    if name in curves:
        curve = curves[name]
        left.plot(
            curve.false_positive_rate, curve.true_positive_rate, color=CLASS_COLOURS[COVID], clip_on=False,
            label=f"model, AUC {curve.auc:.3f}",
        )  # fmt: skip
    _reader_points(left, found)
    left.set_title(f"{name} or not")
    for curve in curves.values():
        label = f"{curve.name}{' average' if curve.name in {'macro', 'micro'} else ' or rest'}, AUC {curve.auc:.3f}"
        right.plot(
            curve.false_positive_rate, curve.true_positive_rate, label=label, clip_on=False, **ROC_LINES[curve.name]
        )
    for kind, marker, colour in (("macro", "o", INK), ("micro", "s", SOFT)):
        points = [(1 - _value(found, r.name, f"{kind} specificity"), _value(found, r.name, f"{kind} sensitivity"))
                  for r in found.readers]  # fmt: skip
        right.scatter(
            *zip(*points, strict=True), marker=marker, facecolor="none", edgecolor=colour, s=34, zorder=4,
            clip_on=False, label=f"readers, {kind} average",
        )  # fmt: skip
    right.set_title("Each class or rest, and averages")
    for axes in (left, right):
        axes.plot([0, 1], [0, 1], color=RULE, linewidth=1.0, zorder=0)
        axes.grid(visible=True)
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="1 - specificity", ylabel="Sensitivity")
        axes.legend(loc="lower right", fontsize=7.5)
    _say_simulated(figure, found)
    return figure


def _reader_points(axes: Axes, found: ReaderComparison) -> None:
    for number, reader in enumerate(found.readers):
        point = (1 - _value(found, reader.name, "covid specificity"), _value(found, reader.name, "covid sensitivity"))
        axes.scatter(
            *point, marker=_MARKERS[number % len(_MARKERS)], facecolor="white", edgecolor=INK, s=38, zorder=4,
            clip_on=False, label=reader.name,
        )  # fmt: skip
    mean = [found.mean[name].value or 0.0 for name in ("covid specificity", "covid sensitivity")]
    axes.scatter(
        1 - mean[0], mean[1], marker="+", color=INK, s=110, linewidth=2, zorder=5, clip_on=False, label="mean reader"
    )
    own = [_value(found, MODEL, name) for name in ("covid specificity", "covid sensitivity")]
    axes.scatter(
        1 - own[0],
        own[1],
        marker="D",
        color=CLASS_COLOURS[COVID],
        s=46,
        zorder=5,
        clip_on=False,
        label="model's decision",
    )


def _value(found: ReaderComparison, rater: str, metric: str) -> float:
    return found.scores[rater][metric].value or 0.0


@styled
def reader_scores_figure(found: ReaderComparison) -> Figure:
    """Model, mean reader and each reader by the endpoints of the comparison."""

    def row(name: str, estimates: Mapping[str, Estimate], endpoint: str, *, main: bool = False) -> ForestRow:
        return ForestRow(name=name, estimate=estimates[endpoint], main=main)

    figure = forest_figure(
        {
            ENDPOINT_TITLES[endpoint]: [
                row(MODEL, found.scores[MODEL], endpoint, main=True),
                row("mean reader", found.mean, endpoint),
                *(row(reader.name, found.scores[reader.name], endpoint) for reader in found.readers),
            ]
            for endpoint in ENDPOINTS
        }
    )
    _say_simulated(figure, found)
    return figure


@styled
def agreement_figure(agreement: Agreement, readers: Sequence[str], *, simulated: bool) -> Figure:
    """Cohen's kappa of each two readers."""
    count = len(readers)
    table = np.full((count, count), np.nan)
    for pair in agreement.pairs:
        places = readers.index(pair.first), readers.index(pair.second)
        table[places] = table[places[::-1]] = np.nan if pair.kappa.value is None else pair.kappa.value
    figure = new_figure(1.6 + 0.95 * count, 1.3 + 0.75 * count)
    axes = figure.add_subplot()
    axes.imshow(np.where(np.isnan(table), 0.0, np.clip(table, 0, 1)), cmap=SHARE, vmin=0.0, vmax=1.0, aspect="auto")
    for (row, column), value in np.ndenumerate(table):
        text = "" if row == column else "n/a" if np.isnan(value) else f"{value:.2f}"
        axes.text(column, row, text, ha="center", va="center", color="white" if value > 0.75 else INK)
    axes.set_xticks(range(count), readers, rotation=20, ha="right")
    axes.set_yticks(range(count), readers)
    axes.tick_params(length=0)
    axes.set_title("Cohen's kappa" + (", simulated readers" if simulated else ""))
    return figure


@styled
def reader_confusion_figure(found: ReaderComparison) -> Figure:
    """Confusion matrices of the model and of all readers together, rows by truth; the last column: no class."""
    truth = np.array([answer.label for answer in found.answers])
    answers = np.array([answer.answered for answer in found.answers])
    columns = (*LABELS, "no class") if (answers == NO_CLASS).any() else LABELS

    def count(said: np.ndarray) -> list[list[int]]:
        codes = (*range(len(LABELS)), NO_CLASS)[: len(columns)]
        return [[int(((truth == row) & (said == code)).sum()) for code in codes] for row in range(len(LABELS))]

    pooled = np.sum([count(reader.classes) for reader in found.readers], axis=0).tolist()
    figure = new_figure(9.4, 4.0)
    left, right = figure.subplots(1, 2)
    for axes, table, title in (
        (left, count(answers), "Model"),
        (right, pooled, f"{len(found.readers)} readers together"),
    ):
        draw_matrix(axes, table, LABELS, columns)
        axes.set_title(title + (" (simulated)" if found.simulated and axes is right else ""))
    return figure


def _say_simulated(figure: Figure, found: ReaderComparison) -> None:
    if found.simulated:
        figure.suptitle(
            "The readers are simulated: nothing here is about people", fontsize=9, x=0.01, ha="left", color=SOFT
        )
