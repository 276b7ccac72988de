"""How much more residual lies in infections than in healthy lung, by method (paper, Results, residuals).

The denoiser has to beat what needs no training: subtracting a blurred slice, or the mean healthy lung.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from covidctnet.config import EvaluationConfig
from covidctnet.errors import CohortError, ConfigError, GeometryError
from covidctnet.evaluation.bootstrap import Estimate, Floats, PatientBootstrap
from covidctnet.labels import CONTROL
from covidctnet.volume import BoolArray, UnitArray


@dataclass(frozen=True, kw_only=True)
class RegionMeans:
    """Mean absolute residual of one case by region; None where the region is empty.

    Attributes:
        label: class index.
        infection: inside the infection.
        healthy: in lung outside the infection.
        patient: pseudonym; when empty, the case counts as a patient of its own.
    """

    label: int
    infection: float | None
    healthy: float | None
    patient: str = ""


def region_means(
    residual: NDArray[np.float32], lung: BoolArray, infection: BoolArray, *, label: int, patient: str = ""
) -> RegionMeans:
    """Mean absolute residual in infection and in healthy lung (lung without infection).

    Args:
        residual: axes (z, y, x).
        lung: mask on the same grid.
        infection: mask on the same grid.
        label: class index of the case.
        patient: pseudonym, needed where patients have several cases.

    Raises:
        GeometryError: the three arrays have different shapes, or the residual is not finite.
        CohortError: a Control has an infection.
    """
    if not residual.shape == lung.shape == infection.shape:
        raise GeometryError(f"residual {residual.shape}, lung {lung.shape} and infection {infection.shape} must agree")
    if not np.isfinite(residual).all():
        raise GeometryError("the residual holds values that are not finite")
    if label == CONTROL and infection.any():
        raise CohortError(f"a Control has {int(infection.sum())} voxels of infection; check label and mask")
    magnitude = np.abs(residual)

    def mean(region: BoolArray) -> float | None:
        return float(magnitude[region].mean(dtype=np.float64)) if region.any() else None

    return RegionMeans(label=label, infection=mean(infection), healthy=mean(lung & ~infection), patient=patient)


def blur_residual(slices: UnitArray, sigma: float) -> NDArray[np.float32]:
    """Slices minus their Gaussian blur, slice by slice.

    Args:
        slices: axes (z, y, x), 0 to 1.
        sigma: of the blur, in pixels of the slice.

    Raises:
        ConfigError: sigma is not positive.
    """
    if not sigma > 0:
        raise ConfigError(f"a blur needs a positive sigma, not {sigma} pixels")
    blurred = ndimage.gaussian_filter(slices, sigma=(0.0, sigma, sigma), mode="nearest")
    return np.asarray(slices - blurred, np.float32)


def mean_lung_residual(slices: UnitArray, mean_lung: float) -> NDArray[np.float32]:
    """Slices minus one number, the mean intensity of healthy training lung, 0 to 1."""
    return np.asarray(slices - np.float32(mean_lung), np.float32)


@dataclass(frozen=True, kw_only=True)
class ResidualContrast:
    """Residual contrast of one method; means over patients, None where there is no such patient.

    Attributes:
        method: e.g. "denoiser".
        infected_patients, control_patients: how many the values rest on.
        infection: mean absolute residual inside infections.
        healthy: in healthy lung of the same patients.
        control: in lungs of Controls.
        infection_to_healthy: `infection` / `healthy` with its interval; higher shows infections better.
        control_to_infection: `control` / `infection` with its interval; near 0, healthy people stay dark.
    """

    method: str
    infected_patients: int
    control_patients: int
    infection: float | None
    healthy: float | None
    control: float | None
    infection_to_healthy: Estimate
    control_to_infection: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def summarise_contrast(
    regions: Mapping[str, Sequence[RegionMeans]], *, config: EvaluationConfig, seed: int
) -> list[ResidualContrast]:
    """Summarise the cases of each method, in the order given.

    Args:
        regions: by method, one a case.
        config: bootstrap samples and confidence; patients are drawn within infected and Controls.
        seed: of the bootstrap.

    Raises:
        CohortError: methods have different numbers of cases, so that they cannot stand side by side.
    """
    if len({len(cases) for cases in regions.values()}) > 1:
        raise CohortError(f"methods have unequal numbers of cases: {[len(c) for c in regions.values()]}")
    return [_summarise(method, cases, config, seed) for method, cases in regions.items()]


def _summarise(method: str, cases: Sequence[RegionMeans], config: EvaluationConfig, seed: int) -> ResidualContrast:
    infected = _by_patient([c for c in cases if c.infection is not None and c.healthy is not None])
    controls = _by_patient([c for c in cases if c.label == CONTROL and c.healthy is not None])
    infection, healthy = infected[:, 0], infected[:, 1]
    control = controls[:, 1]
    group = np.r_[np.zeros(len(infected), int), np.ones(len(controls), int)]
    # A row a patient; what a group does not have stays zero and has no weight in its mean.
    table = np.zeros((len(group), 3))
    table[group == 0, :2], table[group == 1, 2] = infected, control

    def ratios(weights: Floats) -> dict[str, Floats]:
        sums = weights @ table
        sizes = np.stack([weights[:, group == 0].sum(axis=1), weights[:, group == 1].sum(axis=1)], axis=1)
        return {
            "infection to healthy": _divide(sums[:, 0], sums[:, 1]),
            "control to infection": _divide(sums[:, 2] * sizes[:, 0], sums[:, 0] * sizes[:, 1]),
        }

    def estimate(name: str, among: NDArray[np.bool_]) -> Estimate:
        if not among.any():
            return Estimate(value=None)
        names = [str(index) for index in range(len(group))]
        bootstrap = PatientBootstrap(names, group.tolist(), config, seed)
        value = float(ratios(np.ones((1, len(group))))[name][0])
        return bootstrap.estimate(value, bootstrap.resample(ratios)[name], among)

    return ResidualContrast(
        method=method,
        infected_patients=len(infected),
        control_patients=len(controls),
        infection=float(infection.mean()) if len(infection) else None,
        healthy=float(healthy.mean()) if len(healthy) else None,
        control=float(control.mean()) if len(control) else None,
        infection_to_healthy=estimate("infection to healthy", group == 0),
        control_to_infection=estimate("control to infection", np.ones(len(group), bool)),
    )


def _by_patient(cases: Sequence[RegionMeans]) -> Floats:
    """Means over each patient's cases, shape (patients, 2): infection (zero where none), healthy."""
    by_patient: dict[str, list[tuple[float, float]]] = {}
    for index, case in enumerate(cases):
        key = case.patient or f"case {index}"
        by_patient.setdefault(key, []).append((case.infection or 0.0, case.healthy or 0.0))
    return np.array([np.mean(rows, axis=0) for rows in by_patient.values()], np.float64).reshape(-1, 2)


def _divide(above: Floats, below: Floats) -> Floats:
    result = np.full(above.shape, np.nan)
    np.divide(above, below, out=result, where=below > 0)
    return result
