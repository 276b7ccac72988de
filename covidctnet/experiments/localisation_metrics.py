"""Areas, overlaps and ratios of a localisation, with intervals by patient."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from covidctnet.config import EvaluationConfig
from covidctnet.evaluation.bootstrap import Estimate, Floats, PatientBootstrap
from covidctnet.evaluation.roc import weighted_auc
from covidctnet.experiments.localise import BINS, CaseLocalisation
from covidctnet.experiments.slice_labels import INFECTED, UNKNOWN

Counts = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class MethodMetrics:
    """How well one method finds infection.

    Attributes:
        method: its name.
        slice_auc: over all marked slices of all patients.
        voxel_auc: mean of the areas within each infected patient's lungs.
        pooled_voxel_auc: over the lungs' voxels of all patients together, healthy ones among them.
        dice: mean over infected patients at the threshold that is best for the other half of them.
        best_dice: mean at the threshold that is best for these very patients: optimistic.
        threshold: of `best_dice`, -1 to 1.
    """

    method: str
    slice_auc: Estimate
    voxel_auc: Estimate
    pooled_voxel_auc: Estimate
    dice: Estimate
    best_dice: float | None
    threshold: float | None


def measure_method(
    cases: Sequence[CaseLocalisation], method: str, config: EvaluationConfig, seed: int
) -> MethodMetrics:
    """Measure one method; what no case has a mask or marks for has no value."""
    infected = _infected(cases)
    values = np.array([histogram_auc(case.infected[method], case.clear[method]) for case in infected])
    overlaps = _dice(infected, method)
    best = int(overlaps.mean(axis=0).argmax()) if len(infected) else 0
    return MethodMetrics(
        method=method,
        slice_auc=slice_auc(cases, method, config, seed),
        voxel_auc=_mean(infected, values, config, seed),
        pooled_voxel_auc=_pooled(cases, method, config, seed),
        dice=_mean(infected, _cross_fitted(overlaps), config, seed),
        best_dice=float(overlaps[:, best].mean()) if len(infected) else None,
        threshold=-1.0 + 2.0 * best / BINS if len(infected) else None,
    )


def _infected(cases: Sequence[CaseLocalisation]) -> list[CaseLocalisation]:
    return [case for case in cases if case.infected and any(counts.sum() for counts in case.infected.values())]


def histogram_auc(infected: Counts, clear: Counts) -> float:
    """Area under the ROC curve of counts by bin, rising scores; voxels of one bin count half. NaN without a side."""
    pairs = float(infected.sum()) * float(clear.sum())
    below = np.cumsum(clear) - 0.5 * clear
    return float((infected * below).sum() / pairs) if pairs else float("nan")


def _dice(cases: Sequence[CaseLocalisation], method: str) -> Floats:
    """Dice by case and threshold, shape (case, BINS): everything from the lower edge of the bin on is marked."""
    rows = []
    for case in cases:
        hits, alarms = (np.cumsum(counts[method][::-1])[::-1] for counts in (case.infected, case.clear))
        rows.append(2.0 * hits / np.maximum(hits + alarms + case.infected[method].sum(), 1))
    return np.array(rows, np.float64).reshape(-1, BINS)


def _cross_fitted(overlaps: Floats) -> Floats:
    """Dice of each case at the threshold that is best for the other half of the cases; NaN with a single one."""
    count = len(overlaps)
    found = np.full(count, np.nan)
    halves = np.arange(count) % 2
    for half in (0, 1):
        mine, others = halves == half, halves != half
        if others.any():
            found[mine] = overlaps[mine, int(overlaps[others].mean(axis=0).argmax())]
    return found


def _mean(cases: Sequence[CaseLocalisation], values: Floats, config: EvaluationConfig, seed: int) -> Estimate:
    """Mean of one value a case, resampled by patient."""
    known = np.isfinite(values)
    chosen = [case for case, use in zip(cases, known, strict=True) if use]
    if not chosen:
        return Estimate(value=None)
    used = values[known]
    bootstrap = PatientBootstrap([case.patient for case in chosen], [case.label for case in chosen], config, seed)
    samples = bootstrap.resample(lambda weights: {"mean": weights @ used / weights.sum(axis=1)})["mean"]
    return bootstrap.estimate(float(used.mean()), samples, np.ones(len(used), bool))


def paired_voxel_auc(
    cases: Sequence[CaseLocalisation], first: str, second: str, config: EvaluationConfig, seed: int
) -> Estimate:
    """Mean over infected patients of one method's area less the other's."""
    infected = _infected(cases)
    differences = [
        histogram_auc(case.infected[first], case.clear[first])
        - histogram_auc(case.infected[second], case.clear[second])
        for case in infected
    ]
    return _mean(infected, np.array(differences, np.float64), config, seed)


def _pooled(cases: Sequence[CaseLocalisation], method: str, config: EvaluationConfig, seed: int) -> Estimate:
    masked = [case for case in cases if case.infected]
    if not _infected(masked):
        return Estimate(value=None)
    infected, clear = (
        np.stack([getattr(case, side)[method] for case in masked]).astype(np.float64) for side in ("infected", "clear")
    )

    def areas(weights: Floats) -> dict[str, Floats]:
        above, below = weights @ infected, weights @ clear
        pairs = above.sum(axis=1) * below.sum(axis=1)
        found = np.full(len(weights), np.nan)
        beaten = np.cumsum(below, axis=1) - 0.5 * below
        np.divide((above * beaten).sum(axis=1), pairs, out=found, where=pairs > 0)
        return {"auc": found}

    bootstrap = PatientBootstrap([case.patient for case in masked], [case.label for case in masked], config, seed)
    value = float(areas(np.ones((1, len(masked))))["auc"][0])
    return bootstrap.estimate(value, bootstrap.resample(areas)["auc"], np.ones(len(masked), bool))


def marked_slices(
    cases: Sequence[CaseLocalisation], method: str
) -> tuple[NDArray[np.bool_], Floats, list[str], list[int]]:
    """Truth, score, patient and class of every marked slice."""
    parts = [(case, case.slices.infected != UNKNOWN) for case in cases]
    truth = np.concatenate([case.slices.infected[known] == INFECTED for case, known in parts])
    scores = np.concatenate([case.slices.scores[method][known] for case, known in parts])
    patients = [case.patient for case, known in parts for _ in range(int(known.sum()))]
    labels = [case.label for case, known in parts for _ in range(int(known.sum()))]
    return truth, scores, patients, labels


def slice_auc(
    cases: Sequence[CaseLocalisation], method: str, config: EvaluationConfig, seed: int, *, less: str = ""
) -> Estimate:
    """Area over all marked slices, whole patients resampled; `less` subtracts that of another method."""
    truth, scores, patients, labels = marked_slices(cases, method)
    if not truth.any() or truth.all():
        return Estimate(value=None)
    others = marked_slices(cases, less)[1] if less else None

    def areas(weights: Floats) -> dict[str, Floats]:
        found = weighted_auc(truth, scores, weights)
        return {"auc": found if others is None else found - weighted_auc(truth, others, weights)}

    bootstrap = PatientBootstrap(patients, labels, config, seed)
    value = float(areas(np.ones((1, len(truth))))["auc"][0])
    return bootstrap.estimate(value, bootstrap.resample(areas)["auc"], np.ones(len(truth), bool))
