"""Figures that set the method beside what is simpler: baselines, and other ways to make a residual."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from covidctnet.evaluation.baselines import Baselines
from covidctnet.evaluation.bootstrap import Estimate
from covidctnet.evaluation.metrics import Metrics
from covidctnet.evaluation.residual_contrast import ResidualContrast
from covidctnet.report.style import ALERT, CLASS_COLOURS, INK, PANEL, RULE, SOFT, new_figure, styled


@styled
def baseline_figure(metrics: Metrics, baselines: Baselines) -> Figure:
    """Macro AUC of the networks beside the baselines, with intervals."""
    metadata = baselines.metadata
    rows = [
        ("CovidCTNet", metrics.three_class.macro_auc, CLASS_COLOURS[0]),
        (baselines.lung_density.name, baselines.lung_density.macro_auc, SOFT),
        (metadata.name, metadata.macro_auc, ALERT if baselines.confounded else SOFT),
    ]
    figure = new_figure(7.4, 2.3)
    axes = figure.add_subplot()
    axes.axvline(0.5, color=SOFT, linewidth=1.0, linestyle=(0, (4, 3)))
    axes.text(0.503, -0.62, "chance", color=SOFT, fontsize=8, va="center")
    for place, (_, estimate, colour) in enumerate(rows):
        _dot(axes, place, estimate, colour)
    _name_rows(axes, [name for name, _, _ in rows])
    axes.set(xlim=(0.0, 1.02), xlabel="Macro one-vs-rest AUC on the hold-out")
    return figure


@styled
def contrast_figure(contrast: Sequence[ResidualContrast]) -> Figure:
    """Mean absolute residual by region and method, and how much infections stand out from healthy lung."""
    figure = new_figure(9.4, 1.5 + 0.5 * len(contrast))
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    _draw_regions(left, contrast)
    for place, method in enumerate(contrast):
        _dot(right, place, method.infection_to_healthy, CLASS_COLOURS[0])
    _name_rows(left, [method.method for method in contrast])
    _name_rows(right, [""] * len(contrast))
    left.set_xlim(left=0.0)
    left.set(xlabel="Mean |residual|, 0 to 1")
    left.set_title("By region")
    left.legend(loc="upper center", bbox_to_anchor=(0.4, -0.75 / (0.5 * len(contrast) + 0.4)), ncols=3)
    right.axvline(1.0, color=SOFT, linewidth=1.0, linestyle=(0, (4, 3)))
    right.set_xlim(left=0.0)
    right.set_xlim(right=max(1.2, right.get_xlim()[1] * 1.08))
    right.set(xlabel="Infection / healthy lung")
    right.set_title("Contrast; 1 shows nothing")
    return figure


def _draw_regions(axes: Axes, contrast: Sequence[ResidualContrast]) -> None:
    # Shifted a little, because healthy lungs of patients and of Controls would else hide each other.
    regions = (
        ("infection", "infection", CLASS_COLOURS[1], "o", 0.0),
        ("healthy lung, same patients", "healthy", CLASS_COLOURS[0], "s", -0.13),
        ("lungs of Controls", "control", CLASS_COLOURS[2], "D", 0.13),
    )
    for place, method in enumerate(contrast):
        known = [value for _, key, *_ in regions if (value := getattr(method, key)) is not None]
        if known:
            axes.plot([min(known), max(known)], [place] * 2, color=RULE, linewidth=3, zorder=1)
    for label, key, colour, marker, shift in regions:
        values = [getattr(method, key) for method in contrast]
        places = [place for place, value in enumerate(values) if value is not None]
        axes.scatter(
            [values[place] for place in places],
            [place + shift for place in places],
            color=colour,
            marker=marker,
            s=44,
            zorder=3,
            label=label,
            edgecolor="white",
            linewidth=0.8,
        )


def _dot(axes: Axes, place: int, estimate: Estimate, colour: str) -> None:
    if estimate.value is None:
        axes.text(0.02, place, "not computable", color=SOFT, va="center", transform=axes.get_yaxis_transform())
        return
    if estimate.low is not None and estimate.high is not None:
        axes.plot([estimate.low, estimate.high], [place] * 2, color=colour, linewidth=5, alpha=0.28)
    axes.plot([estimate.value], [place], marker="o", markersize=7.5, color=colour, zorder=3, clip_on=False)
    axes.annotate(
        f"{estimate.value:.2f}",
        (estimate.value, place),
        xytext=(0, 9),
        textcoords="offset points",
        ha="center",
        fontsize=8.5,
        color=INK,
        bbox={"facecolor": PANEL, "edgecolor": "none", "pad": 0.8},
    )


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(np.arange(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.85)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_facecolor(PANEL)
    axes.grid(visible=True, axis="x", color="white", linewidth=1.2)
