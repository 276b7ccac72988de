"""The picture of one study: what was answered, the slice that matters most, and the residual through the lungs."""

import json
import textwrap
from typing import IO, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from covidctnet.predictor import NOT_JUDGED
from covidctnet.report.explained import ANSWER_FIELD, ExplainedStudy
from covidctnet.report.images import draw_outline, draw_overlay, draw_residual, draw_slice, residual_colourbar
from covidctnet.report.style import ALERT, CLASS_COLOURS, RULE, SOFT, new_figure, styled

_WIDTH, _WORDS_HEIGHT, _IMAGES_HEIGHT = 9.6, 2.5, 6.9
_ROWS, _COLUMNS = 2, 5
_LINE, _LINES = 92, 9


@styled
def images_figure(study: ExplainedStudy) -> Figure:
    """The slice that matters most in four views, and ten slices through the lungs under their residual."""
    figure = new_figure(_WIDTH, _IMAGES_HEIGHT)
    _draw_images(figure, study)
    return figure


@styled
def study_figure(study: ExplainedStudy) -> Figure:
    """The same images below the answer's numbers and words."""
    figure = new_figure(_WIDTH, _WORDS_HEIGHT + _IMAGES_HEIGHT)
    above, below = _halves(figure, (_WORDS_HEIGHT, _IMAGES_HEIGHT))
    bars, words = above.subplots(1, 2, width_ratios=(2, 5))
    _draw_probabilities(bars, study.document)
    _draw_words(words, study.document)
    _draw_images(below, study)
    return figure


def save_figure(figure: Figure, file: IO[bytes], study: ExplainedStudy) -> None:
    """Write a PNG that carries the answer in a text chunk."""
    metadata = {"Software": None, ANSWER_FIELD: json.dumps(study.document)}
    figure.savefig(file, format="png", metadata=metadata)


def describe_images(study: ExplainedStudy) -> str:
    """What the images show, for who cannot see them."""
    where = study.original_slice(study.key_slice)
    return (
        f"Slice {where} of {study.volume.hu.shape[0]} from the feet, its denoised version, its residual and the "
        f"residual over the slice; below, {_ROWS * _COLUMNS} slices from the bottom of the lungs to their top, each "
        f"under its residual. {study.document['burden']['words']}."
    )


def _draw_images(figure: Figure | SubFigure, study: ExplainedStudy) -> None:
    above, below = _halves(figure, (3.0, 3.9))
    examination, key = study.examination, study.key_slice
    first = above.subplots(1, 4)
    draw_slice(first[0], examination.slices[key])
    draw_slice(first[1], examination.denoised[key])
    draw_residual(first[2], examination.residual[key])
    _draw_marked(first[3], study, key)
    for axes, title in zip(first, ("Slice", "Denoised", "Residual", "Residual over slice"), strict=True):
        axes.set_title(title)
    count = study.volume.hu.shape[0]
    first[0].set_xlabel(f"slice {study.original_slice(key)} of {count} from the feet", color=SOFT, fontsize=8)
    rest = below.subplots(_ROWS, _COLUMNS)
    lungs = study.lung_slices
    shown = np.linspace(lungs[0], lungs[-1], rest.size).round().astype(int)
    for axes, index in zip(rest.flat, shown, strict=True):
        _draw_marked(axes, study, int(index))
        axes.set_xlabel(f"{study.original_slice(int(index))}", color=SOFT, fontsize=8, labelpad=2)
    for axes in (*first, *rest.flat):
        axes.set_aspect(study.aspect)
    residual_colourbar(below, list(rest.flat))


def _halves(figure: Figure | SubFigure, heights: tuple[float, float]) -> list[SubFigure]:
    return list(np.ravel(figure.subfigures(2, 1, height_ratios=heights, squeeze=False)))


def _draw_marked(axes: Axes, study: ExplainedStudy, index: int) -> None:
    draw_overlay(axes, study.examination.slices[index], study.examination.residual[index])
    draw_outline(axes, study.marked[index])


def _draw_probabilities(axes: Axes, document: Any) -> None:
    judged = document["label"] != NOT_JUDGED
    names, values = list(document["probabilities"]), list(document["probabilities"].values())
    axes.barh(names, values, color=CLASS_COLOURS if judged else RULE, height=0.62)
    for place, value in enumerate(values):
        axes.text(min(value, 0.72) + 0.02, place, f"{value:.3f}", va="center")
    axes.invert_yaxis()
    axes.set_xlim(0.0, 1.0)
    axes.set_xticks([0.0, 0.5, 1.0])
    axes.set_title("Calibrated probability" if judged else "Probabilities mean nothing here")


def _draw_words(axes: Axes, document: Any) -> None:
    axes.set_axis_off()
    lines = [*_headline(document), document["burden"]["words"], *(f"! {text}" for text in document["warnings"])]
    parts = [part for line in lines for part in _wrap(line)]
    if len(parts) > _LINES:
        parts = [*parts[: _LINES - 1], "! more warnings: see the answer itself"]
    bundle = f"{document['scanner']}; bundle {document['pair_id']}, data {document['data_version']}"
    # No mathematical notation: a header may hold a dollar sign.
    plain: dict[str, Any] = {"transform": axes.transAxes, "va": "top", "parse_math": False}
    axes.text(0.0, 1.0, _plain(document["label"]), fontsize=15, weight="bold", **plain)
    axes.text(0.0, 0.84, "\n".join(parts), fontsize=8.5, linespacing=1.35, **plain)
    axes.text(0.0, 0.02, _plain(bundle)[: _LINE + 8], fontsize=7.5, color=SOFT, **plain)
    axes.text(1.0, 1.0, _plain(document["disclaimer"]), fontsize=9, weight="bold", color=ALERT, ha="right", **plain)


def _headline(document: Any) -> list[str]:
    if document["covid_positive"] is None:
        return [f"The study lies {document['out_of_distribution']:.2f} widths outside of what training saw."]
    verdict = "positive" if document["covid_positive"] else "negative"
    return [f"Covid-19 {verdict} at threshold {document['covid_threshold']:.3f}"]


def _wrap(line: str) -> list[str]:
    return textwrap.wrap(_plain(line), _LINE, subsequent_indent="  ")


def _plain(text: str) -> str:
    """Letters that the figure's font has."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return printable.encode("latin-1", "replace").decode("latin-1")
