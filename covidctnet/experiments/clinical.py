"""Age and sex, joined late to the image's answer (the paper's future work); off unless a table is given.

The image network stays as it is. A second signature adds to its log-probabilities what age and sex say of each
class; where both are unknown it answers as the image alone does.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from covidctnet.errors import ExperimentError
from covidctnet.evaluation.calibration import apply_temperature, fit_temperature
from covidctnet.labels import LABELS
from covidctnet.promotion.holdout import read_demographics
from covidctnet.stages.prepared import PreparedCase

INPUTS = ("age", "age is known", "female", "male")
"""Columns of the second signature's input; age in units of 20 years from 50, 0 where it is unknown."""

_MIDDLE_AGE, _AGE_UNIT = 50.0, 20.0
_OPEN_ENDED_YEARS = 10.0

PENALTY = 0.1
"""Weight of the squared coefficients beside the mean log-loss: few patients choose twelve of them."""


@dataclass(frozen=True, kw_only=True)
class ClinicalTable:
    """Sex and age band by patient, as `demographics.csv` of the promotion gate has them."""

    rows: Mapping[str, tuple[str, str]]

    @classmethod
    def load(cls, path: Path) -> "ClinicalTable":
        """Read a CSV with the columns patient, sex, age_band.

        Raises:
            ExperimentError: an age band cannot be read.
            PromotionError: the file is missing, or its columns are others.
        """
        table = cls(rows=read_demographics(path))
        for _, band in table.rows.values():
            _age(band)
        return table

    def inputs(self, cases: Sequence[PreparedCase]) -> NDArray[np.float32]:
        """Inputs of the second signature, shape (case, 4); an unknown patient is all zeros."""
        rows = []
        for case in cases:
            sex, band = self.rows.get(case.case.patient, ("", ""))
            age = _age(band)
            known = age is not None
            rows.append([(age - _MIDDLE_AGE) / _AGE_UNIT if age is not None else 0.0, known, sex == "F", sex == "M"])
        return np.array(rows, np.float32).reshape(-1, len(INPUTS))


def _age(band: str) -> float | None:
    """Middle of a band such as `45-64`; ten years behind the start of an open one such as `65+`."""
    if not band:
        return None
    found = re.fullmatch(r"([0-9]{1,3})(?:-([0-9]{1,3})|\+)", band)
    if not found:
        raise ExperimentError(f"an age band is written as 45-64 or 65+, not {band!r}")
    low = float(found[1])
    return (low + float(found[2])) / 2 if found[2] else low + _OPEN_ENDED_YEARS


@dataclass(frozen=True, kw_only=True)
class ClinicalHead:
    """What is added to the log-probabilities of the image: `inputs @ weights`.

    Attributes:
        weights: shape (4, 3), zero where age and sex say nothing.
    """

    weights: NDArray[np.float64]

    def join(self, probabilities: ArrayLike, inputs: ArrayLike) -> NDArray[np.float64]:
        """Probabilities with age and sex, shape (n, 3); the second signature computes the same."""
        logits = np.log(np.maximum(np.asarray(probabilities, np.float64), np.finfo(np.float32).tiny))
        logits = logits + np.asarray(inputs, np.float64) @ self.weights
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        joined: NDArray[np.float64] = shares / shares.sum(axis=1, keepdims=True)
        return joined


def fit_clinical_head(raw: ArrayLike, labels: Sequence[int], inputs: ArrayLike) -> ClinicalHead:
    """Fit the weights on validation patients, whom the image network was not trained on.

    Minimises the mean log-loss of the calibrated image's answer with age and sex, plus `PENALTY` times the squared
    weights. The temperature is divided out again: the second signature is calibrated after it, as the first one is.

    Args:
        raw: answers of the image alone, shape (n, 3), not calibrated.
        labels: class indices, shape (n,).
        inputs: of `ClinicalTable.inputs`, shape (n, 4).
    """
    from scipy.optimize import minimize

    temperature = fit_temperature(raw, labels)
    image = np.log(np.maximum(apply_temperature(raw, temperature), np.finfo(np.float32).tiny))
    values = np.asarray(inputs, np.float64)
    truth = np.eye(len(LABELS))[np.asarray(labels, np.int64)]

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = flat.reshape(values.shape[1], len(LABELS))
        logits = image + values @ weights
        logits -= logits.max(axis=1, keepdims=True)
        shares = np.exp(logits)
        total = shares.sum(axis=1, keepdims=True)
        mean = float(np.mean(np.log(total[:, 0]) - (logits * truth).sum(axis=1)))
        gradient = values.T @ (shares / total - truth) / len(truth) + 2.0 * PENALTY * weights
        return mean + PENALTY * float((weights**2).sum()), gradient.ravel()

    found = minimize(loss, np.zeros(values.shape[1] * len(LABELS)), jac=True, method="L-BFGS-B")
    return ClinicalHead(weights=found.x.reshape(values.shape[1], len(LABELS)) * temperature)
