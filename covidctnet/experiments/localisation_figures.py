"""Figures of the localisation."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from covidctnet.evaluation.bootstrap import Estimate
from covidctnet.evaluation.residual_contrast import ResidualContrast
from covidctnet.experiments.localisation_metrics import MethodMetrics
from covidctnet.experiments.localise import DENOISER, HU, CaseImages
from covidctnet.experiments.slice_labels import INFECTED
from covidctnet.labels import LABELS
from covidctnet.report.anatomy import strongest_slice
from covidctnet.report.images import draw_outline, draw_slice
from covidctnet.report.style import CLASS_COLOURS, PANEL, SIGNED, SOFT, bare, new_figure, styled

_MARKED = "#f6e3d3"


@styled
def methods_figure(methods: Sequence[MethodMetrics], contrast: Sequence[ResidualContrast]) -> Figure:
    """Areas, overlap and ratio of every method, a dot each."""
    ratios = {entry.method: entry.infection_to_healthy for entry in contrast}
    panels = [
        ("AUC a slice", [method.slice_auc for method in methods], 0.5),
        ("AUC a voxel", [method.voxel_auc for method in methods], 0.5),
        ("Dice, threshold of the other half", [method.dice for method in methods], 0.0),
        ("Infection / healthy lung", [ratios.get(method.method, Estimate(value=None)) for method in methods], 1.0),
    ]
    shown = [panel for panel in panels if any(estimate.value is not None for estimate in panel[1])] or panels[:1]
    figure = new_figure(2.0 + 2.7 * len(shown), 1.1 + 0.42 * len(methods))
    grid = figure.subplots(1, len(shown), squeeze=False, sharey=True)[0]
    for axes, (words, estimates, nothing) in zip(grid, shown, strict=True):
        axes.axvline(nothing, color=SOFT, linewidth=1.0, linestyle=(0, (4, 3)))
        for place, estimate in enumerate(estimates):
            colour = CLASS_COLOURS[1] if methods[place].method == DENOISER else CLASS_COLOURS[0]
            _draw_dot(axes, place, estimate, colour)
        axes.set_xlabel(words)
        axes.grid(visible=True, axis="x")
    grid[0].set_yticks(range(len(methods)), [method.method for method in methods])
    grid[0].set_ylim(len(methods) - 0.5, -0.5)
    return figure


def _draw_dot(axes: Axes, place: float, estimate: Estimate, colour: str) -> None:
    if estimate.value is None:
        return
    if estimate.low is not None and estimate.high is not None:
        axes.plot([estimate.low, estimate.high], [place, place], color=colour, linewidth=3.0)
    axes.plot([estimate.value], [place], marker="o", markersize=6, color=colour)


@styled
def profile_figure(examples: Sequence[CaseImages]) -> Figure:
    """Score of the denoiser and of the HU threshold by slice position, a panel a case."""
    figure = new_figure(8.4, 2.3 * len(examples) + 0.3)
    grid = figure.subplots(len(examples), 1, squeeze=False)[:, 0]
    for axes, example in zip(grid, examples, strict=True):
        slices = example.measured.slices
        step = float(np.diff(slices.position_mm).min()) if len(slices.position_mm) > 1 else 1.0
        for place in slices.position_mm[slices.infected == INFECTED]:
            axes.axvspan(place - step / 2, place + step / 2, color=_MARKED, linewidth=0)
        axes.plot(slices.position_mm, slices.scores[DENOISER], color=CLASS_COLOURS[1], label=DENOISER)
        other = axes.twinx()
        other.plot(slices.position_mm, slices.scores[HU], color=CLASS_COLOURS[0], linewidth=1.1, label="mean intensity")
        other.set_ylabel("Intensity", color=CLASS_COLOURS[0])
        axes.set_ylabel("Residual", color=CLASS_COLOURS[1])
        axes.set_ylim(bottom=0.0)
        axes.set_title(f"{example.case}: {LABELS[example.label]}")
    grid[-1].set_xlabel("Slice position in mm, z of the DICOM patient system, feet to head")
    return figure


@styled
def panels_figure(examples: Sequence[CaseImages], names: Sequence[str]) -> Figure:
    """A row a case: its slice, and what every method says of it."""
    columns = ["Slice", *names]
    figure = new_figure(2.0 * len(columns), 2.15 * len(examples) + 0.3)
    grid = figure.subplots(len(examples), len(columns), squeeze=False)
    for row, example in zip(grid, examples, strict=True):
        index = _shown(example)
        draw_slice(row[0], example.slices[index])
        row[0].set_ylabel(LABELS[example.label], weight="bold", color=CLASS_COLOURS[example.label])
        row[0].set_xlabel(f"slice {index + 1} of {len(example.slices)}", color=SOFT, fontsize=8)
        for axes, name in zip(row[1:], names, strict=True):
            plane = np.where(example.lungs[index], np.maximum(example.scores[name][index], 0.0), np.nan)
            reach = float(np.nanquantile(plane, 0.99)) if np.isfinite(plane).any() else 1.0
            axes.set_facecolor(PANEL)
            axes.imshow(plane, cmap=SIGNED, vmin=-max(reach, 1e-6), vmax=max(reach, 1e-6), interpolation="nearest")
            bare(axes)
        if example.infection is not None:
            for axes in row:
                draw_outline(axes, example.infection[index])
    for axes, title in zip(grid[0], columns, strict=True):
        axes.set_title(title[:1].upper() + title[1:])
    return figure


def _shown(example: CaseImages) -> int:
    if example.infection is not None and example.infection.any():
        return int(example.infection.sum(axis=(1, 2)).argmax())
    return strongest_slice(example.scores[DENOISER], example.lungs)
