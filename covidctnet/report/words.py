"""What the numbers say, in sentences: summary, warnings, and what the hold-out does not show."""

from dataclasses import dataclass

from covidctnet.evaluation.bootstrap import Estimate
from covidctnet.evaluation.tables import NO_INTERVAL, format_interval, format_value
from covidctnet.labels import LABELS
from covidctnet.report.data import ReportData

DISCLAIMER = "Research use only. Not a medical device."
FEW_PATIENTS = 30


@dataclass(frozen=True, kw_only=True)
class Paragraph:
    """A heading and its text."""

    heading: str
    text: str


def summary(data: ReportData) -> list[Paragraph]:
    """The first thing to read: what was trained, on what, what came out, what that does not show."""
    return [
        Paragraph(heading="What was trained", text=_trained(data)),
        Paragraph(heading="What the hold-out says", text=_found(data)),
        Paragraph(heading="What simpler means reach", text=_simpler(data)),
        Paragraph(heading="What this does not show", text=_limits(data)),
    ]


def notes(data: ReportData) -> list[str]:
    """The caller's notes, then what the numbers themselves call for."""
    found = list(data.notes)
    metrics = data.metrics
    if metrics.patients < FEW_PATIENTS:
        found.append(
            f"The hold-out has {metrics.patients} patients. Below {FEW_PATIENTS}, intervals are wide and one "
            "patient more or less changes every number: read the intervals, not the values."
        )
    missing = [name for name, count in metrics.patients_by_label.items() if count == 0]
    if missing:
        found.append(f"The hold-out has no patient of: {', '.join(missing)}. Values that need them are missing.")
    if data.baselines.confounded is None:
        found.append(
            "Whether the scanner alone predicts the class could not be measured: training has one class "
            "only, or the hold-out lacks a class. Shortcuts are not ruled out."
        )
    own = metrics.three_class.macro_auc.value
    for baseline in (data.baselines.metadata, data.baselines.lung_density):
        simple = baseline.macro_auc.value
        if own is not None and simple is not None and own <= simple:
            found.append(
                f"The networks (macro AUC {own:.3f}) do no better than a baseline: "
                f"{baseline.name.lower().replace('hu', 'HU')} reaches {simple:.3f}."
            )
    return found


def confounded(data: ReportData) -> str | None:
    """Why the cohort counts as confounded, or None where it does not."""
    if not data.baselines.confounded:
        return None
    area = data.baselines.metadata.macro_auc
    text = (
        f"Scanner and acquisition alone, without a look at the lungs, predict the class with a macro AUC of "
        f"{_with_interval(area, data)} (0.5 is chance). The networks may have learned the scanner instead of "
        "the disease, and no metric below can tell. Balance classes over scanners before trusting them."
    )
    if area.low is not None and area.low <= 0.5:
        text += " The interval includes chance: with so few patients this may be luck; more patients would tell."
    return text


def _trained(data: ReportData) -> str:
    def patients(split: str) -> int:
        return sum(row.patients for row in data.cohort_table if row.split == split)

    return (
        f"A denoiser learned from {patients('denoiser')} healthy patients how lungs look without infection. "
        f"A 3D network then learned from what the denoiser takes out of the scans of {patients('train')} "
        f"other patients to tell {LABELS[0]}, {LABELS[1]} and {LABELS[2]} (community-acquired pneumonia) "
        f"apart. "
        f"{patients('validation')} more patients set temperature and decision threshold. "
        f"Profile {data.profile}, seed {data.seed}."
    )


def _found(data: ReportData) -> str:
    metrics = data.metrics
    three, covid = metrics.three_class, metrics.covid
    right = sum(three.confusion[k][k] for k in range(len(LABELS)))
    (negative, alarms), (missed, found) = covid.confusion
    return (
        f"On {_count(metrics.patients, 'patient')} ({_count(metrics.cases, 'case')}) that no training saw, "
        f"the most probable class was right in {right} of {_count(metrics.cases, 'case')}: accuracy "
        f"{_with_interval(three.accuracy, data)}, macro AUC {_with_interval(three.macro_auc, data)}. "
        f"As a test for Covid-19 at probability {metrics.threshold:.2f}, it found {found} of "
        f"{_count(found + missed, 'Covid-19 case')} and wrongly flagged {alarms} of "
        f"{_count(negative + alarms, 'other case')}."
    )


def _simpler(data: ReportData) -> str:
    parts = [
        f"{baseline.name}: macro AUC {_with_interval(baseline.macro_auc, data)}."
        for baseline in (data.baselines.metadata, data.baselines.lung_density)
    ]
    if data.contrast:
        ratios = ", ".join(
            f"{format_value(contrast.infection_to_healthy.value)} ({contrast.method})" for contrast in data.contrast
        )
        parts.append(f"Residual inside infections, as a multiple of that in healthy lung: {ratios}.")
    return " ".join(parts)


def _limits(data: ReportData) -> str:
    scanners = len({row.scanner for row in data.cohort_table})
    return (
        f"Hold-out and training come from one cohort of {_count(scanners, 'scanner model')}: nothing is said "
        "of other hospitals, other scanners, other diseases of the lung, other stages of the disease, or of "
        "how a radiologist fares with the answer. Intervals hold the luck of the draw of patients only, not "
        "that of another training run. Good numbers here are a reason to test further, not to use it on "
        "patients."
    )


def _with_interval(estimate: Estimate, data: ReportData) -> str:
    interval = format_interval(estimate)
    if not interval:
        return format_value(estimate.value)
    if interval == NO_INTERVAL:
        return f"{format_value(estimate.value)} (no interval can be given)"
    return f"{format_value(estimate.value)} ({data.metrics.confidence:.0%} interval {interval})"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
