"""Result of the cross-validation: every patient answered once, threshold and temperature chosen inside each fold."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from covidctnet.evaluation.bootstrap import Bools
from covidctnet.evaluation.calibration import fit_threshold
from covidctnet.evaluation.outcomes import CaseOutcome
from covidctnet.evaluation.reliability import expected_calibration_error
from covidctnet.evaluation.roc_band import roc_bands
from covidctnet.experiments.answers import FoldAnswers
from covidctnet.experiments.build import ResultFolder, by_arm, estimate_cells, interval_text, percent_text, rounded
from covidctnet.experiments.comparison import interval_over_seeds, measure_answers
from covidctnet.experiments.curves import calibration_figure
from covidctnet.experiments.pooled import PooledAnswers
from covidctnet.experiments.results import ExperimentResult, Statement, Table
from covidctnet.labels import COVID
from covidctnet.promotion.statistics import brier_terms
from covidctnet.report.curves import roc_figure

_WORDS = {
    "macro_auc": "AUC, macro average",
    "covid_auc": "AUC, Covid-19 or not",
    "accuracy": "Accuracy, three classes",
    "sensitivity": "Sensitivity for Covid-19",
    "specificity": "Specificity for Covid-19",
    "brier": "Brier score (0 best, 2 worst)",
}


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """How far probabilities may be believed.

    Attributes:
        error: expected calibration error, 0 to 1.
        log_loss: mean negative log-likelihood.
        brier: 0 best, 2 worst.
    """

    error: float
    log_loss: float
    brier: float


def measure_calibration(outcomes: Sequence[CaseOutcome]) -> Calibrated:
    """Error, log-loss and Brier score of some answers, at least one."""
    labels = np.array([outcome.label for outcome in outcomes], np.int64)
    probabilities = np.array([outcome.probabilities for outcome in outcomes], np.float64)
    told = np.maximum(probabilities[np.arange(len(labels)), labels], float(np.finfo(np.float32).tiny))
    return Calibrated(
        error=expected_calibration_error(outcomes) or 0.0,
        log_loss=float(-np.log(told).mean()),
        brier=float(brier_terms(labels, probabilities).mean()),
    )


def conclude_crossval(target: ResultFolder, answers: Sequence[FoldAnswers]) -> ExperimentResult:
    """Write the result of k folds.

    Args:
        target: receives all.
        answers: one entry a fold, of one arm and seed.
    """
    config = target.about.config
    folds = next(iter(by_arm(answers).values()))
    pooled = PooledAnswers(folds)
    estimates = pooled.estimate(config.evaluation, config.seed)
    before = [outcome for entry in folds for outcome in entry.test]
    raw, scaled = measure_calibration(before), measure_calibration(pooled.outcomes)
    target.record_answers(folds)
    target.draw(
        "roc",
        "ROC",
        roc_figure(
            pooled.outcomes,
            among="cross-validated",
            bands=roc_bands(pooled.outcomes, config.evaluation, config.seed),
        ),
        "Every patient answered once, by the fold that had not seen them; calibrated within the fold. Bands are "
        "pointwise, by resampling patients.",
    )
    target.draw(
        "calibration",
        "Reliability",
        calibration_figure(before, pooled.outcomes),
        "Numbers beside the dots are cases. The temperature of each fold was fitted on its own validation patients.",
    )
    accuracy, area = estimates["accuracy"], estimates["macro_auc"]
    statements = [
        Statement(
            f"{len(folds)} folds by patient: accuracy in three classes {_text(accuracy.value)} "
            f"({interval_text(accuracy.low, accuracy.high)}), macro AUC {_text(area.value)} "
            f"({interval_text(area.low, area.high)}), {len(pooled.outcomes)} cases.",
            "neutral",
        ),
        _say_calibration(raw, scaled),
        _say_threshold(pooled),
    ]
    return target.close(
        "Cross-validation",
        "How well does the method answer patients whom neither training nor the choice of threshold has seen?",
        statements,
        [
            Table(
                "pooled",
                "All folds together",
                ("Metric", "Value", "95 % over patients, low", "high"),
                tuple((words, *estimate_cells(estimates[name])) for name, words in _WORDS.items()),
                "Bootstrap by patient; shares have exact intervals where all resamples agree. Each case is positive "
                "from the threshold of its own fold.",
            ),
            _fold_table(folds),
            _spread_table(folds, config.evaluation.confidence),
            Table(
                "calibration",
                "Calibration before and after temperature scaling",
                ("", "Expected calibration error", "Log-loss", "Brier score"),
                tuple(
                    (name, rounded(found.error), rounded(found.log_loss), rounded(found.brier))
                    for name, found in (("before", raw), ("after", scaled))
                ),
                "Of the tested patients of all folds; ten bins of confidence.",
            ),
            _threshold_table(pooled),
        ],
    )


def _text(value: float | None) -> str:
    return "not computable" if value is None else f"{value:.3f}"


def _say_calibration(raw: Calibrated, scaled: Calibrated) -> Statement:
    helped = scaled.log_loss < raw.log_loss
    return Statement(
        f"Temperature scaling {'lowered' if helped else 'did not lower'} the log-loss of tested patients, from "
        f"{raw.log_loss:.3f} to {scaled.log_loss:.3f}; the expected calibration error went from {raw.error:.3f} to "
        f"{scaled.error:.3f}.",
        "neutral" if helped else "warning",
    )


def _rates(positive: Bools, covid: Bools) -> tuple[float | None, float | None]:
    sensitivity = float(positive[covid].mean()) if covid.any() else None
    specificity = float((~positive[~covid]).mean()) if (~covid).any() else None
    return sensitivity, specificity


def _thresholds(pooled: PooledAnswers) -> dict[str, tuple[float | None, tuple[float | None, float | None]]]:
    scores = pooled.probabilities[:, COVID]
    best = fit_threshold(scores, pooled.labels)
    return {
        "nested: of each fold's validation": (None, _rates(pooled.positive, pooled.covid)),
        "fixed": (0.5, _rates(scores >= 0.5, pooled.covid)),
        "chosen on the tested patients themselves": (best, _rates(scores >= best, pooled.covid)),
    }


def _youden(rates: tuple[float | None, float | None]) -> float | None:
    return None if rates[0] is None or rates[1] is None else rates[0] + rates[1] - 1.0


def _say_threshold(pooled: PooledAnswers) -> Statement:
    found = _thresholds(pooled)
    nested, _, tested = (_youden(rates) for _, rates in found.values())
    if nested is None or tested is None:
        return Statement("No threshold can be judged: one side of Covid-19 or not has no patient.", "warning")
    return Statement(
        f"Threshold chosen inside each fold: sensitivity plus specificity less 1 is {nested:.3f}. Chosen on the tested "
        f"patients it would have looked like {tested:.3f}: {tested - nested:+.3f} is optimism.",
        "neutral",
    )


def _fold_table(folds: Sequence[FoldAnswers]) -> Table:
    rows = []
    for entry in folds:
        measured, raw, scaled = (
            measure_answers(entry),
            measure_calibration(entry.test),
            measure_calibration(entry.calibrated()),
        )
        rows.append(
            (
                entry.fold,
                len(entry.test),
                rounded(entry.temperature),
                rounded(entry.threshold),
                rounded(measured["accuracy"]),
                rounded(measured["macro_auc"]),
                rounded(measured["covid_auc"]),
                rounded(raw.log_loss),
                rounded(scaled.log_loss),
            )
        )
    return Table(
        "folds",
        "Folds",
        (
            "Fold", "Tested cases", "Temperature", "Threshold", "Accuracy", "AUC, macro", "AUC, Covid-19",
            "Log-loss before scaling", "after",
        ),
        tuple(rows),
        "The fold behind the tested one validates: it chooses temperature, threshold and, where the profile keeps the "
        "best epoch, the epoch.",
    )  # fmt: skip


def _spread_table(folds: Sequence[FoldAnswers], confidence: float) -> Table:
    measured = [measure_answers(entry) for entry in folds]
    rows: list[tuple[str | float | None, ...]] = []
    for metric in ("macro_auc", "covid_auc", "accuracy"):
        values = np.array([np.nan if fold[metric] is None else fold[metric] for fold in measured], np.float64)
        interval = interval_over_seeds(
            values,
            tested=float(np.mean([len(entry.test) for entry in folds])),
            trained=float(np.mean([entry.trained for entry in folds])),
            confidence=confidence,
        )
        mean = float(values.mean()) if np.isfinite(values).all() else None
        bounds = (rounded(interval.low), rounded(interval.high)) if interval else (None, None)
        rows.append((_WORDS[metric], rounded(mean), *bounds))
    return Table(
        "spread",
        "Mean over the folds",
        ("Metric", "Mean", f"{percent_text(confidence)} over folds, low", "high"),
        tuple(rows),
        "Student's interval with the variance corrected for training sets that overlap (Nadeau and Bengio 2003).",
    )


def _threshold_table(pooled: PooledAnswers) -> Table:
    return Table(
        "threshold",
        "Choice of the threshold",
        ("Threshold", "Covid-19 probability", "Sensitivity", "Specificity", "Sensitivity + specificity - 1"),
        tuple(
            (name, rounded(value), rounded(rates[0]), rounded(rates[1]), rounded(_youden(rates)))
            for name, (value, rates) in _thresholds(pooled).items()
        ),
        "The last row is what a study reports that chooses the threshold where it measures.",
    )
