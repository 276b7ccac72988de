"""The figures of a reader study as files, with captions and texts for readers who do not see them."""

from pathlib import Path

from covidctnet.config import Config
from covidctnet.evaluation.roc_band import roc_bands
from covidctnet.evaluation.tables import format_value
from covidctnet.experiments.results import Figure
from covidctnet.labels import LABELS
from covidctnet.readers.answers import MODEL
from covidctnet.readers.compare import ReaderComparison
from covidctnet.readers.scores import ENDPOINTS
from covidctnet.readers.shown import ShownCases
from covidctnet.report.anatomy import RESIDUAL_RANGE
from covidctnet.report.clouds import STRONG_RESIDUAL, cloud_figure
from covidctnet.report.curves import reliability_figure
from covidctnet.report.figures import FigurePlan, save_plans
from covidctnet.report.images import gallery_figure, slices_figure
from covidctnet.report.reader_figures import (
    ENDPOINT_TITLES,
    agreement_figure,
    reader_confusion_figure,
    reader_roc_figure,
    reader_scores_figure,
)

FOLDER = "figures"
TITLES = {
    "scores": "Model and readers",
    "confusion": "Confusion",
    "kappa": "Agreement of the readers",
    "roc": "ROC of the model, points of the readers",
    "reliability": "Reliability of the model's probabilities",
    "slices": "What the denoiser takes out",
    "clouds": "Scan and residual in 3D",
    "wrong": "Hard cases",
}


def save_reader_figures(found: ReaderComparison, shown: ShownCases, config: Config, output: Path) -> list[Figure]:
    """Draw every figure into `figures/` of a folder.

    Args:
        found: the comparison.
        shown: cases with their images.
        config: of the bundle.
        output: folder of the experiment.
    """
    plans = [*_score_plans(found), *_curve_plans(found, config), *_image_plans(found, shown, config)]
    saved = save_plans(plans, output / FOLDER)
    return [
        Figure(
            name=one.name, title=TITLES[one.name], file=f"{FOLDER}/{one.path.name}", caption=f"{one.caption} {one.alt}"
        )
        for one in saved.values()
    ]


def _who(found: ReaderComparison) -> str:
    return "simulated readers" if found.simulated else "readers"


def _score_plans(found: ReaderComparison) -> list[FigurePlan]:
    own = "; ".join(
        f"{ENDPOINT_TITLES[e]}: model {format_value(found.scores[MODEL][e].value)}, "
        f"mean reader {format_value(found.mean[e].value)}"
        for e in ENDPOINTS
    )
    plans = [
        FigurePlan(
            name="scores",
            draw=lambda: reader_scores_figure(found),
            caption=f"Model, mean reader and each of the {_who(found)}, with {found.confidence:.0%} intervals: exact, "
            "and for the mean reader by resampling patients.",
            alt=f"Forest plot. {own}.",
        ),
        FigurePlan(
            name="confusion",
            draw=lambda: reader_confusion_figure(found),
            caption=f"Number of answers; percentages are shares of the row. Right, all {_who(found)} together.",
            alt=f"Confusion matrices of the model and of all {_who(found)}.",
        ),
    ]
    agreement = found.agreement
    if agreement is not None:
        names = [reader.name for reader in found.readers]
        plans.append(
            FigurePlan(
                name="kappa",
                draw=lambda: agreement_figure(agreement, names, simulated=found.simulated),
                caption=f"Agreement of each two {_who(found)} beyond chance: 1 is full agreement, 0 that of chance.",
                alt=f"Cohen's kappa of each two {_who(found)}; Fleiss' kappa of all "
                f"{format_value(agreement.overall.value)}.",
            )
        )
    return plans


def _curve_plans(found: ReaderComparison, config: Config) -> list[FigurePlan]:
    metrics = found.metrics
    if metrics is None:
        return []
    bands = roc_bands(found.outcomes, config.evaluation, config.seed)
    return [
        FigurePlan(
            name="roc",
            draw=lambda: reader_roc_figure(found, bands),
            caption=f"ROC of the model, and where the {_who(found)} stand: they name a class, so each has a point. "
            "The band is pointwise, by resampling patients. After the paper's Fig. 5."
            + (
                " The model's decision lies below its curve: cases without a class count as wrong."
                * bool(found.unnamed)
            ),
            alt=f"ROC curves. Covid-19 area {format_value(metrics.covid.auc.value)}, macro "
            f"{format_value(metrics.three_class.macro_auc.value)}, micro "
            f"{format_value(metrics.three_class.micro_auc.value)}.",
        ),
        FigurePlan(
            name="reliability",
            draw=lambda: reliability_figure(found.outcomes),
            caption="On the dashed line, answers are right as often as their probability says.",
            alt=f"Reliability diagram; calibration error {format_value(metrics.expected_calibration_error)}.",
        ),
    ]


def _image_plans(found: ReaderComparison, shown: ShownCases, config: Config) -> list[FigurePlan]:
    window = (config.preprocess.hu_min, config.preprocess.hu_max)
    plans = []
    if shown.typical:
        names = ", ".join(f"{LABELS[example.label]} ({example.case})" for example in shown.typical)
        plans += [
            FigurePlan(
                name="slices",
                draw=lambda: slices_figure(shown.typical, window),
                caption="One case a class that most raters have right. Orange: denser than the denoiser expects; blue: "
                f"thinner. Colours end at {RESIDUAL_RANGE:g}. After the paper's Fig. 2.",
                alt=f"Slice, denoised slice, residual and overlay: {names}.",
            ),
            FigurePlan(
                name="clouds",
                draw=lambda: cloud_figure(shown.typical, window, config.seed),
                caption="Above the surfaces of body and lungs; below the lungs' residuals beyond "
                f"{STRONG_RESIDUAL:g} in either direction, the same level for all. After the paper's Fig. 3.",
                alt=f"3D point clouds of scan and strongest residuals: {names}.",
            ),
        ]
    if shown.wrong:
        cases = "; ".join(f"{e.case} is {LABELS[e.label]}, {shown.notes[e.case]}" for e in shown.wrong)
        plans.append(
            FigurePlan(
                name="wrong",
                draw=lambda: gallery_figure(shown.wrong, window, shown.notes),
                caption=f"{len(shown.wrong)} of {shown.wrong_count} cases that the model or most {_who(found)} have "
                "wrong, the hardest first: slice beside residual. After the paper's Fig. 6.",
                alt=f"Cases with wrong answers: {cases}.",
            )
        )
    return plans
