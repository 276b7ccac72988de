"""Metrics as rows of text, for the report and the command line."""

from dataclasses import dataclass

from covidctnet.evaluation.bootstrap import Estimate
from covidctnet.evaluation.metrics import Metrics

NOT_COMPUTABLE = "not computable"
NO_INTERVAL = "no interval: too few patients, or all resamples agree"


@dataclass(frozen=True, kw_only=True)
class MetricRow:
    """One metric in words, e.g. "Accuracy, three classes", "0.867", "0.600 to 0.983"."""

    what: str
    value: str
    interval: str


def format_value(value: float | None) -> str:
    """Three digits, or words where there is no value."""
    return NOT_COMPUTABLE if value is None else f"{value:.3f}"


def format_p(value: float | None) -> str:
    """A p-value; one that three digits would show as zero is below what they can tell."""
    return format_value(value) if value is None or value >= 0.001 else "below 0.001"


def format_interval(estimate: Estimate) -> str:
    """Both bounds, with the method where it is not the bootstrap; empty where the value itself is missing."""
    if estimate.value is None:
        return ""
    if estimate.low is None or estimate.high is None:
        return NO_INTERVAL
    suffix = " (exact)" if estimate.method == "exact" else ""
    return f"{estimate.low:.3f} to {estimate.high:.3f}{suffix}"


def metric_rows(metrics: Metrics) -> list[MetricRow]:
    """The hold-out's metrics, the two read-outs first."""
    three, covid = metrics.three_class, metrics.covid
    named = [
        ("Accuracy, three classes", three.accuracy),
        ("AUC, macro average", three.macro_auc),
        ("AUC, micro average", three.micro_auc),
        ("Covid-19 or not: accuracy", covid.accuracy),
        ("Covid-19 or not: AUC", covid.auc),
        ("Covid-19 or not: sensitivity", covid.sensitivity),
        ("Covid-19 or not: specificity", covid.specificity),
    ]
    for label, values in three.per_class.items():
        named += [
            (f"{label} or rest: AUC", values.auc),
            (f"{label} as the most probable class: sensitivity", values.sensitivity),
            (f"{label} as the most probable class: specificity", values.specificity),
        ]
    named += [
        ("Brier score (0 best, 2 worst)", metrics.brier),
        ("Expected calibration error", Estimate(value=metrics.expected_calibration_error)),
    ]
    rows = [MetricRow(what=what, value=format_value(e.value), interval=format_interval(e)) for what, e in named]
    rows[-1] = MetricRow(what=rows[-1].what, value=rows[-1].value, interval="")
    return rows
