"""Results of the experiments that set arms side by side: ablation, patches and clinical inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from covidctnet.evaluation.tables import format_p
from covidctnet.experiments.answers import FoldAnswers
from covidctnet.experiments.build import ResultFolder, by_arm, interval_text, percent_text, rounded
from covidctnet.experiments.comparison import METRICS, Comparison, compare_arms, measure_answers
from covidctnet.experiments.curves import arms_confusion_figure, arms_learning_figure, difference_figure, seeds_figure
from covidctnet.experiments.results import ExperimentResult, Statement, Table
from covidctnet.labels import LABELS

NEITHER, NOISE, DENOISER, BOTH = (
    "slices alone",
    "slices with noise",
    "denoiser without noise",
    "denoiser with noise",
)
"""The four arms of the ablation; the last one is the paper's method."""

IMAGE = BOTH
"""The method's arm in the other experiments: the same training, so its finished steps are used again."""


_LEARNT = 0.98
"""A training loss below this part of the guessing one has learnt something, as in a training's own report."""


@dataclass(frozen=True, kw_only=True)
class ArmsText:
    """The words of one experiment.

    Attributes:
        title, question: of the result.
        tested: arm whose advantage is asked for.
        order: all arms as they are shown.
        notes: statements beside the comparison.
    """

    title: str
    question: str
    tested: str
    order: tuple[str, ...]
    notes: tuple[Statement, ...] = ()


def conclude_arms(target: ResultFolder, answers: Sequence[FoldAnswers], text: ArmsText) -> ExperimentResult:
    """Compare the tested arm with every other one, and write tables, figures and what follows.

    Args:
        target: receives all.
        answers: of every arm and seed.
        text: the experiment's words.
    """
    found = by_arm(answers)
    arms = {name: found[name] for name in text.order}
    config = target.about.config
    comparisons = [
        compare_arms(arms[text.tested], entries, config.evaluation, config.seed)
        for name, entries in arms.items()
        if name != text.tested
    ]
    percent = percent_text(config.evaluation.confidence)
    target.record_answers(answers)
    target.draw(
        "learning",
        "Learning curves",
        arms_learning_figure(arms),
        "Loss and accuracy by epoch: the line is the mean over the seeds, the band their range.",
    )
    target.draw(
        "confusion",
        "Confusion matrices",
        arms_confusion_figure(arms),
        "Test patients of all seeds together, so that one who is tested with two seeds counts twice.",
    )
    target.draw(
        "seeds",
        "Every seed",
        seeds_figure(arms),
        "One line a seed: all arms answered for the same patients.",
    )
    target.draw(
        "differences",
        "Differences",
        difference_figure(comparisons),
        f"Metric of '{text.tested}' less that of the other arm. Thick: {percent} interval over patients; thin: over "
        "seeds, corrected for training sets that overlap.",
    )
    statements = [_say(comparison, percent) for comparison in comparisons]
    return target.close(
        text.title,
        text.question,
        [*statements, *_say_unlearnt(arms), _say_why(arms), *text.notes],
        [
            _arms_table(arms),
            _difference_table(comparisons, percent),
            _test_table(comparisons),
            _learning_table(arms),
            *_confusion_tables(arms),
        ],
    )


def _say(comparison: Comparison, percent: str) -> Statement:
    difference = comparison.of("macro_auc")
    if difference.patients.value is None or difference.arm is None or difference.reference is None:
        return Statement(
            f"'{comparison.arm}' against '{comparison.reference}': no macro AUC, because a class is missing.", "warning"
        )
    seeds = "none" if difference.seeds is None else interval_text(difference.seeds.low, difference.seeds.high)
    verdict = {
        1: f"'{comparison.arm}' was better.",
        -1: f"'{comparison.arm}' was worse.",
        0: "Neither is shown to be better: the intervals over patients and over seeds do not both exclude 0.",
    }[difference.verdict]
    return Statement(
        f"'{comparison.arm}' against '{comparison.reference}', macro AUC {difference.arm:.3f} against "
        f"{difference.reference:.3f}, difference {difference.patients.value:+.3f} ({percent} interval over patients "
        f"{interval_text(difference.patients.low, difference.patients.high)}, over seeds {seeds}). {verdict}",
        "neutral" if difference.verdict else "warning",
    )


def _say_unlearnt(arms: Mapping[str, Sequence[FoldAnswers]]) -> list[Statement]:
    """Arms whose training never came below the loss of answering the same to everything."""
    guessing = float(np.log(len(LABELS)))
    stuck = [
        name
        for name, entries in arms.items()
        if np.mean([min(entry.history["loss"]) for entry in entries]) > _LEARNT * guessing
    ]
    if not stuck:
        return []
    names = ", ".join(f"'{name}'" for name in stuck)
    return [
        Statement(
            f"{names} learnt nothing: the lowest training loss stayed at {guessing:.2f}, that of answering the same to "
            "everything. With these epochs, this optimizer and so few cases that input could not be trained on; what "
            "it holds with others is not shown, and the difference from it is no measure of information.",
            "warning",
        )
    ]


def _say_why(arms: Mapping[str, Sequence[FoldAnswers]]) -> Statement:
    parts = []
    for name, entries in arms.items():
        trained, watched = (_last(entries, key) for key in ("accuracy", "val_accuracy"))
        parts.append(f"'{name}' {trained:.2f} and {watched:.2f} (gap {trained - watched:+.2f})")
    return Statement(
        "Accuracy in the last epoch, training and validation: "
        + "; ".join(parts)
        + ". A wide gap is learning by heart; a low training accuracy is a network that has not learnt its input.",
        "neutral",
    )


def _last(entries: Sequence[FoldAnswers], key: str) -> float:
    return float(np.mean([entry.history[key][-1] for entry in entries]))


def _arms_table(arms: Mapping[str, Sequence[FoldAnswers]]) -> Table:
    rows = []
    for name, entries in arms.items():
        measured = [measure_answers(entry) for entry in entries]
        cells: list[str | float | int | None] = [name, len(entries), len(entries[0].test), entries[0].parameters]
        for metric in METRICS:
            values = [value for value in (seed[metric] for seed in measured) if value is not None]
            cells += [rounded(float(np.mean(values))), rounded(float(np.ptp(values)))] if values else [None, None]
        rows.append(tuple(cells))
    columns = [part for words in METRICS.values() for part in (words, f"{words}: range over seeds")]
    return Table(
        "arms",
        "Arms, mean over the seeds",
        ("Arm", "Seeds", "Test cases a seed", "Parameters", *columns),
        tuple(rows),
        "Calibrated on validation; every arm has the same splits, seeds and optimizer.",
    )


def _difference_table(comparisons: Sequence[Comparison], percent: str) -> Table:
    rows = []
    for comparison in comparisons:
        for difference in comparison.differences:
            seeds = difference.seeds
            rows.append(
                (
                    comparison.arm,
                    comparison.reference,
                    METRICS[difference.metric],
                    rounded(difference.arm),
                    rounded(difference.reference),
                    rounded(difference.patients.value),
                    rounded(difference.patients.low),
                    rounded(difference.patients.high),
                    rounded(seeds.low) if seeds else None,
                    rounded(seeds.high) if seeds else None,
                    ", ".join(f"{value:+.3f}" for value in difference.by_seed),
                )
            )
    return Table(
        "differences",
        "Paired differences",
        (
            "Arm", "Against", "Metric", "Arm's", "Other's", "Difference",
            f"{percent} over patients, low", "high", f"{percent} over seeds, low", "high ", "By seed",
        ),
        tuple(rows),
        "Over patients: bootstrap by patient, the same patients for both arms and all seeds. Over seeds: Student's "
        "interval with the variance corrected for overlapping training sets (Nadeau and Bengio 2003).",
    )  # fmt: skip


def _test_table(comparisons: Sequence[Comparison]) -> Table:
    rows = [
        (
            comparison.arm,
            comparison.reference,
            test.seed,
            test.three_classes.gained,
            test.three_classes.lost,
            format_p(test.three_classes.p_value),
            test.covid.gained,
            test.covid.lost,
            format_p(test.covid.p_value),
            rounded(test.covid_auc.difference) if test.covid_auc else None,
            format_p(test.covid_auc.p_value if test.covid_auc else None),
        )
        for comparison in comparisons
        for test in comparison.tests
    ]
    return Table(
        "tests",
        "Paired tests of each seed",
        (
            "Arm", "Against", "Seed",
            "Three classes: only the arm right", "only the other right", "McNemar p",
            "Covid-19 or not: only the arm right", "only the other right ", "McNemar p ",
            "Covid-19 AUC, difference", "DeLong p",
        ),
        tuple(rows),
        "Exact and two-sided. Seeds share patients: the p-values of two seeds are not independent and are not "
        "combined, and none is corrected for the number of tests.",
    )  # fmt: skip


def _learning_table(arms: Mapping[str, Sequence[FoldAnswers]]) -> Table:
    keys = ("loss", "val_loss", "accuracy", "val_accuracy")
    return Table(
        "learning",
        "Last epoch, mean over the seeds",
        ("Arm", "Training loss", "Validation loss", "Training accuracy", "Validation accuracy", "Gap of accuracy"),
        tuple(
            (
                name,
                *(rounded(_last(entries, key)) for key in keys),
                rounded(_last(entries, "accuracy") - _last(entries, "val_accuracy")),
            )
            for name, entries in arms.items()
        ),
        "The training figures are means over the epoch, with dropout and changed inputs.",
    )


def _confusion_tables(arms: Mapping[str, Sequence[FoldAnswers]]) -> list[Table]:
    tables = []
    for number, (name, entries) in enumerate(arms.items(), 1):
        counts = np.zeros((len(LABELS), len(LABELS)), int)
        for entry in entries:
            for outcome in entry.calibrated():
                counts[outcome.label, outcome.predicted] += 1
        tables.append(
            Table(
                f"confusion-{number}",
                f"Confusion matrix: {name}",
                ("Truth", *(f"answered {label}" for label in LABELS)),
                tuple((LABELS[index], *(int(value) for value in row)) for index, row in enumerate(counts)),
                "Test patients of all seeds together.",
            )
        )
    return tables
