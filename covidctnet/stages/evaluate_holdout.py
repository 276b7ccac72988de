"""Bundle and hold-out -> outcomes, measured through the Predictor that serving uses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from covidctnet.cohort import Cohort
from covidctnet.config import Config
from covidctnet.evaluation.outcomes import CaseOutcome
from covidctnet.evaluation.residual_contrast import (
    RegionMeans,
    blur_residual,
    mean_lung_residual,
    region_means,
)
from covidctnet.predictor import NOT_JUDGED, Examination, Predictor
from covidctnet.progress import Progress, silent
from covidctnet.reading import read_volume
from covidctnet.stages.prepared import PreparedCase, PreparedCohort
from covidctnet.volume import BoolArray


@dataclass(frozen=True, kw_only=True)
class HoldoutResult:
    """What the hold-out gave.

    Attributes:
        outcomes: one a case, in the order of the split.
        regions: by method, the mean absolute residual by region of each case whose truth is known.
        kept: examinations that the report shows, by case.
    """

    outcomes: list[CaseOutcome] = field(default_factory=list)
    regions: dict[str, list[RegionMeans]] = field(default_factory=dict)
    kept: dict[str, Examination] = field(default_factory=dict)


def evaluate_holdout(
    bundle: Path,
    cohort: Cohort,
    prepared: PreparedCohort,
    *,
    most_kept: int = 15,
    on_progress: Progress = silent,
) -> HoldoutResult:
    """Answer for every hold-out case as serving would: from its zip, through the written bundle.

    Args:
        bundle: the folder that training wrote.
        cohort: where the zips are.
        prepared: all cases of the run; no training saw those of the hold-out.
        most_kept: how many examinations are kept for the report, wrong answers and one a class first.
        on_progress: told of each finished case.
    """
    predictor = Predictor.load(bundle)
    config, holdout = predictor.bundle.config, prepared.of("holdout")
    mean_lung = mean_healthy_lung(prepared)
    result = HoldoutResult()
    shown: set[int] = set()
    for number, case in enumerate(holdout):
        examination = predictor.examine(read_volume(cohort.path(case.case.case), config.reader))
        answer = examination.answer
        result.outcomes.append(
            CaseOutcome(
                case=case.case.case,
                patient=case.case.patient,
                label=case.label,
                brand=case.scanner.brand,
                scanner=str(case.scanner),
                probabilities=tuple(answer.probabilities.values()),  # type: ignore[arg-type]
                burden=answer.burden.share,
                judged=answer.label != NOT_JUDGED,
            )
        )
        wrong = result.outcomes[-1].predicted != case.label
        if (wrong and len(result.kept) < most_kept) or (not wrong and case.label not in shown):
            result.kept[case.case.case] = examination
            if not wrong:
                shown.add(case.label)
        for method, means in _measure(examination, case, prepared.truth(case), config, mean_lung).items():
            result.regions.setdefault(method, []).append(means)
        on_progress("evaluate", number + 1, len(holdout))
    return result


def _measure(
    examination: Examination,
    case: PreparedCase,
    truth: Mapping[str, BoolArray] | None,
    config: Config,
    mean_lung: float | None,
) -> Mapping[str, RegionMeans]:
    if truth is None or mean_lung is None:
        return {}
    slices = examination.slices
    residuals = {
        "denoiser": slices - examination.denoised,
        "mean lung": mean_lung_residual(slices, mean_lung),
    }
    for sigma in config.evaluation.reference_blur_px:
        residuals[f"Gaussian blur {sigma:g} px"] = blur_residual(slices, sigma)
    return {
        method: region_means(residual, truth["lung"], truth["infection"], label=case.label, patient=case.case.patient)
        for method, residual in residuals.items()
    }


def mean_healthy_lung(prepared: PreparedCohort) -> float | None:
    """Mean intensity, 0 to 1, of healthy lung in training cases; None where no truth is known."""
    known = [case.healthy_lung for case in prepared.of("train")]
    total, count = sum(intensity for intensity, _ in known), sum(voxels for _, voxels in known)
    return total / count if count else None
