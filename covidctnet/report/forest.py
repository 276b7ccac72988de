"""Forest plots: one value with its interval a row, panels side by side on one scale."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from covidctnet.evaluation.bootstrap import Estimate
from covidctnet.report.style import CLASS_COLOURS, INK, PANEL, SOFT, new_figure, styled


@dataclass(frozen=True, kw_only=True)
class ForestRow:
    """One row of a panel.

    Attributes:
        name: to the left, the same in every panel.
        estimate: drawn with its interval, or "not computable".
        main: whether the row stands out from the others.
    """

    name: str
    estimate: Estimate
    main: bool = False


@styled
def forest_figure(
    panels: Mapping[str, Sequence[ForestRow]],
    *,
    limits: tuple[float, float] = (0.0, 1.0),
    reference: float | None = None,
) -> Figure:
    """Draw panels with the same rows.

    Args:
        panels: by title; every panel has the same names in the same order.
        limits: of the values.
        reference: where a dashed line stands, for instance chance.
    """
    rows = next(iter(panels.values()))
    longest = max(len(row.name) for row in rows)
    figure = new_figure(2.3 * len(panels) + 0.075 * longest + 0.4, 0.42 * len(rows) + 1.1)
    for number, (axes, (title, found)) in enumerate(
        zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True)
    ):
        _panel(axes, found, limits, reference)
        axes.set_title(title)
        if number:
            axes.set_yticklabels([])
    return figure


def _panel(axes: Axes, rows: Sequence[ForestRow], limits: tuple[float, float], reference: float | None) -> None:
    axes.set_facecolor(PANEL)
    axes.grid(visible=True, axis="x", color="white", linewidth=1.2)
    if reference is not None:
        axes.axvline(reference, color=SOFT, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    for place, row in enumerate(rows):
        found, colour = row.estimate, CLASS_COLOURS[0] if row.main else SOFT
        if found.value is None:
            axes.text(sum(limits) / 2, place, "not computable", color=SOFT, ha="center", va="center", fontsize=8)
            continue
        if found.low is not None and found.high is not None:
            axes.plot([found.low, found.high], [place] * 2, color=colour, linewidth=2.2 if row.main else 1.5, zorder=2)
        marker = "D" if row.main else "o"
        axes.plot([found.value], [place], marker=marker, color=colour, markersize=6, zorder=3, clip_on=False)
        axes.text(found.value, place - 0.2, f"{found.value:.2f}", ha="center", va="bottom", fontsize=7.5, color=INK)
    axes.set_yticks(np.arange(len(rows)), [row.name for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.8)
    axes.set_xlim(*limits)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if row.main else "normal")
