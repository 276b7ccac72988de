"""Which figures a report has, with captions and texts for readers who do not see them."""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from covidctnet.evaluation.tables import format_value
from covidctnet.labels import LABELS
from covidctnet.report.anatomy import DEFAULT_WINDOW_HU, RESIDUAL_RANGE
from covidctnet.report.clouds import STRONG_RESIDUAL, cloud_figure
from covidctnet.report.comparisons import baseline_figure, contrast_figure
from covidctnet.report.curves import confusion_figure, learning_figure, reliability_figure, roc_figure
from covidctnet.report.data import ReportData
from covidctnet.report.images import MOST_WRONG, gallery_figure, slices_figure


@dataclass(frozen=True, kw_only=True)
class SavedFigure:
    """A figure as a file.

    Attributes:
        name: of the file, without suffix.
        path: PNG.
        caption: below the figure.
        alt: says what the figure shows to who cannot see it.
    """

    name: str
    path: Path
    caption: str
    alt: str


@dataclass(frozen=True, kw_only=True)
class FigurePlan:
    """A figure that is still to be drawn; the fields are those of `SavedFigure`."""

    name: str
    draw: Callable[[], Figure]
    caption: str
    alt: str


def save_figures(data: ReportData, folder: Path) -> dict[str, SavedFigure]:
    """Draw all figures that the data allows; see `save_plans`."""
    return save_plans(_answer_plans(data) + _training_plans(data) + _image_plans(data) + _wrong_plans(data), folder)


def save_plans(plans: Sequence[FigurePlan], folder: Path) -> dict[str, SavedFigure]:
    """Draw figures.

    Args:
        plans: what to draw, each with a name of its own.
        folder: is replaced as a whole once every figure is drawn, so that none of an earlier run stays.

    Returns:
        Figures by name, as `<name>.png` in the folder.
    """
    partial, old = (folder.with_name(f"{folder.name}.{suffix}") for suffix in ("partial", "old"))
    for leftover in (partial, old):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir(parents=True)
    for plan in plans:
        # No software field: the same data gives the same bytes, and no address hides in the file.
        plan.draw().savefig(partial / f"{plan.name}.png", metadata={"Software": None})
    if folder.exists():
        os.replace(folder, old)
    os.replace(partial, folder)
    shutil.rmtree(old, ignore_errors=True)
    return {
        plan.name: SavedFigure(name=plan.name, path=folder / f"{plan.name}.png", caption=plan.caption, alt=plan.alt)
        for plan in plans
    }


def _answer_plans(data: ReportData) -> list[FigurePlan]:
    three, covid = data.metrics.three_class, data.metrics.covid
    areas = ", ".join(f"{name} {format_value(values.auc.value)}" for name, values in three.per_class.items())
    rows = "; ".join(
        f"{name}: {', '.join(f'{n} answered {LABELS[k]}' for k, n in enumerate(row))}"
        for name, row in zip(LABELS, three.confusion, strict=True)
    )
    (negative, alarms), (missed, found) = covid.confusion
    return [
        FigurePlan(
            name="roc",
            draw=lambda: roc_figure(data.outcomes),
            caption="Each class against the other two. Macro is the mean of the three, micro pools them.",
            alt=f"ROC curves. Areas: {areas}, macro {format_value(three.macro_auc.value)}, "
            f"micro {format_value(three.micro_auc.value)}.",
        ),
        FigurePlan(
            name="confusion",
            draw=lambda: confusion_figure(data.metrics),
            caption="Number of cases; percentages are shares of the row. Left the most probable class, "
            "right the Covid-19 decision at the threshold fitted on validation.",
            alt=f"Confusion matrices. {rows}. Covid-19 found {found}, missed {missed}; "
            f"others cleared {negative}, wrongly flagged {alarms}.",
        ),
        FigurePlan(
            name="baselines",
            draw=lambda: baseline_figure(data.metrics, data.baselines),
            caption="A dot is the hold-out's value, a bar its interval. "
            "Baselines are fitted on the same training patients.",
            alt=f"Macro AUC: CovidCTNet {format_value(three.macro_auc.value)}, "
            + ", ".join(
                f"{baseline.name} {format_value(baseline.macro_auc.value)}"
                for baseline in (data.baselines.lung_density, data.baselines.metadata)
            ),
        ),
        FigurePlan(
            name="reliability",
            draw=lambda: reliability_figure(data.outcomes),
            caption="On the dashed line, answers are right as often as their probability says; "
            "below it, the network is too sure.",
            alt="Reliability diagram; expected calibration error "
            f"{format_value(data.metrics.expected_calibration_error)}.",
        ),
    ]


def _training_plans(data: ReportData) -> list[FigurePlan]:
    plans = []
    if any(data.histories.values()):
        plans.append(
            FigurePlan(
                name="learning",
                draw=lambda: learning_figure(data.histories),
                caption="By epoch. Validation patients are in no training set.",
                alt=f"Learning curves of {' and '.join(data.histories)}, training and validation.",
            )
        )
    if data.contrast:
        ratios = ", ".join(f"{c.method} {format_value(c.infection_to_healthy.value)}" for c in data.contrast)
        plans.append(
            FigurePlan(
                name="contrast",
                draw=lambda: contrast_figure(data.contrast),
                caption="Mean over patients. Blur and mean lung need no training: a denoiser that does not "
                "beat them has learned nothing of use.",
                alt=f"Mean absolute residual by region and method. Infection to healthy lung: {ratios}.",
            )
        )
    return plans


def _image_plans(data: ReportData) -> list[FigurePlan]:
    examples, window = data.one_a_class, _window(data)
    if not examples:
        return []
    names = ", ".join(f"{LABELS[example.label]} ({example.case})" for example in examples)
    where = "".join(f" {LABELS[example.label]}: {example.where}." for example in examples if example.where)
    to_scale = all(example.extent_mm for example in examples)
    return [
        FigurePlan(
            name="slices",
            draw=lambda: slices_figure(examples, window),
            caption="The slice with most true infection, else the one with the strongest residual in the "
            "lungs, for Controls too. Orange: denser than the denoiser expects; blue: thinner. "
            f"Colours end at {RESIDUAL_RANGE:g}.{where}",
            alt=f"Slice, denoised slice, residual and overlay of one case a class: {names}.",
        ),
        FigurePlan(
            name="clouds",
            draw=lambda: cloud_figure(examples, window, data.seed),
            caption="Above the surfaces of body and lungs; below the lungs' residuals beyond "
            f"{STRONG_RESIDUAL:g} in either direction, the same level for all cases."
            + ("" if to_scale else " Proportions are not to scale."),
            alt=f"3D point clouds of scan and strongest residuals: {names}.",
        ),
    ]


def _wrong_plans(data: ReportData) -> list[FigurePlan]:
    if not data.wrong:
        return []
    total = sum(outcome.predicted != outcome.label for outcome in data.outcomes)
    shown = data.wrong[:MOST_WRONG]
    cases = "; ".join(f"{e.case} is {LABELS[e.label]}, answered {LABELS[e.predicted]}" for e in shown)
    return [
        FigurePlan(
            name="wrong",
            draw=lambda: gallery_figure(data.wrong, _window(data)),
            caption=f"{len(shown)} of {total} hold-out cases with a wrong answer: slice beside residual.",
            alt=f"Cases with a wrong answer: {cases}.",
        )
    ]


def _window(data: ReportData) -> tuple[float, float]:
    values = data.config.get("preprocess", {})
    return float(values.get("hu_min", DEFAULT_WINDOW_HU[0])), float(values.get("hu_max", DEFAULT_WINDOW_HU[1]))
