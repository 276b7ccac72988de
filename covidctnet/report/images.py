"""Figures of slices beside their residuals."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from covidctnet.labels import LABELS
from covidctnet.report.anatomy import DEFAULT_WINDOW_HU, RESIDUAL_RANGE, lung_region, slice_to_show
from covidctnet.report.data import CaseExample
from covidctnet.report.style import (
    CLASS_COLOURS,
    NEGATIVE,
    POSITIVE,
    SIGNED,
    SOFT,
    TRUTH,
    bare,
    new_figure,
    styled,
)

MOST_WRONG = 12


@styled
def slices_figure(examples: Sequence[CaseExample], window_hu: tuple[float, float] = DEFAULT_WINDOW_HU) -> Figure:
    """A row a case: slice, denoised slice, residual, and the residual over the slice."""
    figure = new_figure(9.6, 2.45 * len(examples) + 0.75)
    grid = figure.subplots(len(examples), 4, squeeze=False)
    for row, example in zip(grid, examples, strict=True):
        index = slice_to_show(example, lung_region(example, window_hu))
        draw_slice(row[0], example.slices[index])
        draw_slice(row[1], example.denoised[index])
        draw_residual(row[2], example.residual[index])
        draw_overlay(row[3], example.slices[index], example.residual[index])
        if example.infection is not None:
            draw_outline(row[3], example.infection[index])
        row[0].set_ylabel(LABELS[example.label], fontsize=11, weight="bold", color=CLASS_COLOURS[example.label])
        row[0].set_xlabel(f"slice {index + 1} of {len(example.slices)}", color=SOFT, fontsize=8)
        row[3].set_xlabel(_answer(example), color=SOFT, fontsize=8)
    for axes, title in zip(grid[0], ("Slice", "Denoised", "Residual", "Residual over slice"), strict=True):
        axes.set_title(title)
    residual_colourbar(figure, grid[:, 2:].ravel().tolist())
    if any(example.infection is not None and example.infection.any() for example in examples):
        outline = Line2D([], [], color=TRUTH, linewidth=3, label="outline of the true infection")
        figure.legend(handles=[outline], loc="lower left")
    return figure


@styled
def gallery_figure(
    wrong: Sequence[CaseExample],
    window_hu: tuple[float, float] = DEFAULT_WINDOW_HU,
    notes: Mapping[str, str] | None = None,
) -> Figure:
    """Cases with a wrong answer, at most twelve: slice and residual, truth, answer and probabilities.

    Args:
        wrong: the cases.
        window_hu: Hounsfield units of the intensities 0 and 1.
        notes: one more line above a case, by its name.
    """
    shown, lines = list(wrong[:MOST_WRONG]), notes or {}
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure = new_figure(3.5 * max(columns, 2), (2.3 if lines else 2.15) * rows)
    panels = np.ravel(figure.subfigures(rows, max(columns, 2), squeeze=False))
    for panel, example in zip(panels, shown, strict=False):
        left, right = panel.subplots(1, 2)
        index = slice_to_show(example, lung_region(example, window_hu))
        draw_slice(left, example.slices[index])
        if example.infection is not None:
            draw_outline(left, example.infection[index])
        draw_residual(right, example.residual[index])
        chances = "   ".join(f"{n} {p:.0%}" for n, p in zip(LABELS, example.probabilities, strict=True))
        heading = f"{example.case}: {LABELS[example.label]}, answered {LABELS[example.predicted]}"
        text = "\n".join(filter(None, (heading, chances, lines.get(example.case))))
        panel.suptitle(text, fontsize=8, x=0.02, ha="left")
    return figure


def _answer(example: CaseExample) -> str:
    return f"answered {LABELS[example.predicted]}, {max(example.probabilities):.0%}"


def draw_slice(axes: Axes, plane: NDArray[np.float32]) -> None:
    """A preprocessed slice, axes (y, x), 0 to 1, as radiologists look at it: the patient's right on the left."""
    axes.imshow(plane, cmap="gray", vmin=0.0, vmax=1.0, interpolation="bicubic")
    bare(axes)
    axes.text(0.03, 0.05, "R", transform=axes.transAxes, color="white", fontsize=8, alpha=0.8)


def draw_residual(axes: Axes, plane: NDArray[np.float32]) -> None:
    """The residual of a slice, axes (y, x), in the colours of every figure."""
    axes.imshow(plane, cmap=SIGNED, vmin=-RESIDUAL_RANGE, vmax=RESIDUAL_RANGE, interpolation="bicubic")
    bare(axes)


def draw_overlay(axes: Axes, plane: NDArray[np.float32], residual: NDArray[np.float32]) -> None:
    """A slice under its residual, which is the less transparent the stronger it is; axes (y, x)."""
    draw_slice(axes, plane)
    colours = np.empty((*residual.shape, 4))
    colours[..., :3] = np.where(residual[..., None] > 0, to_rgb(POSITIVE), to_rgb(NEGATIVE))
    colours[..., 3] = np.clip(np.abs(residual) / RESIDUAL_RANGE, 0.0, 1.0) * 0.9
    axes.imshow(colours, interpolation="nearest")


def draw_outline(axes: Axes, mask: NDArray[np.bool_]) -> None:
    """The border of a mask, axes (y, x)."""
    if mask.any() and not mask.all():
        axes.contour(mask.astype(float), levels=[0.5], colors=[TRUTH], linewidths=1.1)


def residual_colourbar(figure: Figure | SubFigure, axes: list[Axes]) -> None:
    """What the colours of the residual stand for, below the axes that show it."""
    scale = ScalarMappable(Normalize(-RESIDUAL_RANGE, RESIDUAL_RANGE), SIGNED)
    bar = figure.colorbar(scale, ax=axes, location="bottom", shrink=0.7, aspect=36, pad=0.02, extend="both")
    bar.set_label("residual: input minus denoised, intensities 0 to 1", fontsize=8)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, length=2)
