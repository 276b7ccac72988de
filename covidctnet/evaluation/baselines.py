"""What can be told of the class without looking into the lung: the bar that a network must clear.

Label and scanner often come from the same hospital. A network can then read the scanner instead of the
disease, and every metric looks good.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from covidctnet.config import EvaluationConfig
from covidctnet.errors import CohortError
from covidctnet.evaluation.bootstrap import Estimate, Floats, PatientBootstrap
from covidctnet.evaluation.roc import multiclass_auc
from covidctnet.labels import LABELS
from covidctnet.volume import Scanner

CONFOUNDED_ABOVE = 0.65
"""Macro AUC of the scanner alone from which a cohort counts as confounded whatever the interval says: small
hold-outs have intervals that include everything, and a false alarm costs less than a missed shortcut."""

REGULARISATION = 1.0
"""scikit-learn's `C`, its default, fixed: tuning it would need a validation split of its own."""


@dataclass(frozen=True, kw_only=True)
class CaseDescription:
    """What is known of a case without its lungs' texture.

    Attributes:
        case, patient: pseudonyms.
        label: class index.
        scanner: as the header says.
        spacing_mm: along (z, y, x), as acquired.
        shape: voxels along (z, y, x), as acquired.
        mean_lung_hu: mean Hounsfield value of aerated lung.
    """

    case: str
    patient: str
    label: int
    scanner: Scanner
    spacing_mm: tuple[float, float, float]
    shape: tuple[int, int, int]
    mean_lung_hu: float


@dataclass(frozen=True, kw_only=True)
class BaselineResult:
    """How well one baseline does on the hold-out; macro one-vs-rest AUC, 0.5 is chance."""

    name: str
    macro_auc: Estimate


@dataclass(frozen=True, kw_only=True)
class Baselines:
    """The baselines that belong into every report.

    Attributes:
        metadata: scanner and acquisition alone.
        lung_density: mean lung HU alone.
        train_patients, holdout_patients: what they were fitted and scored on.
    """

    metadata: BaselineResult
    lung_density: BaselineResult
    train_patients: int
    holdout_patients: int

    @property
    def confounded(self) -> bool | None:
        """Whether the scanner predicts the class; None where that could not be measured.

        True when the metadata's interval lies above 0.5 altogether, or its AUC above `CONFOUNDED_ABOVE`.
        """
        found = self.metadata.macro_auc
        if found.value is None:
            return None
        return found.value > CONFOUNDED_ABOVE or (found.low is not None and found.low > 0.5)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with `confounded`."""
        return {**asdict(self), "confounded": self.confounded}


@dataclass(frozen=True, kw_only=True)
class Features:
    """Features before encoding.

    Attributes:
        categories: strings, shape (n, columns).
        numbers: float64, shape (n, columns), NaN where a header holds none.
    """

    categories: Any
    numbers: Floats


def metadata_features(cases: Sequence[CaseDescription]) -> Features:
    """Brand, model, kernel; slice thickness and spacing (mm), kVp, matrix and number of slices."""
    scanners = [case.scanner for case in cases]
    categories = [[scanner.brand, scanner.model, scanner.kernel] for scanner in scanners]
    numbers = [
        [_number(case.scanner.slice_thickness_mm), _number(case.scanner.kvp), *case.spacing_mm, *case.shape]
        for case in cases
    ]
    return Features(categories=np.array(categories, dtype=object).reshape(-1, 3), numbers=np.array(numbers, np.float64))


def lung_density_features(cases: Sequence[CaseDescription]) -> Features:
    """Mean lung HU alone."""
    numbers = np.array([[case.mean_lung_hu] for case in cases], np.float64)
    return Features(categories=np.empty((len(cases), 0), dtype=object), numbers=numbers)


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


class _Encoder:
    """One-hot categories and standardised numbers, as the training cases have them.

    An unseen category is all zeros; a missing number stands at the training mean, with a mark beside it,
    because what a header leaves out can tell the hospital too.
    """

    def __init__(self, train: Features) -> None:
        self._known = [sorted(set(column)) for column in train.categories.T]
        known = np.isfinite(train.numbers)
        filled, count = np.where(known, train.numbers, 0.0), np.maximum(known.sum(axis=0), 1)
        self._mean = filled.sum(axis=0) / count
        spread = np.sqrt((np.where(known, train.numbers - self._mean, 0.0) ** 2).sum(axis=0) / count)
        self._spread = np.where(spread > 1e-9, spread, 1.0)

    def encode(self, features: Features) -> Floats:
        known = np.isfinite(features.numbers)
        standardised = np.where(known, (features.numbers - self._mean) / self._spread, 0.0)
        columns = [
            column == value
            for column, values in zip(features.categories.T, self._known, strict=True)
            for value in values
        ]
        one_hot = np.array(columns, np.float64).reshape(len(columns), len(features.numbers)).T
        return np.concatenate([one_hot, standardised, ~known], axis=1)


def fit_baseline(
    name: str,
    features: Callable[[Sequence[CaseDescription]], Features],
    train: Sequence[CaseDescription],
    holdout: Sequence[CaseDescription],
    *,
    config: EvaluationConfig,
    seed: int,
) -> BaselineResult:
    """Multinomial logistic regression on the training cases, scored on the hold-out.

    Args:
        name: for the report.
        features: `metadata_features` or `lung_density_features`.
        train: cases of the training patients.
        holdout: cases of other patients.
        config: bootstrap samples and confidence.
        seed: of the bootstrap.

    Returns:
        Macro one-vs-rest AUC, without value where training has one class only or the hold-out lacks a class.

    Raises:
        CohortError: a patient is in both, or the hold-out is empty.
    """
    from sklearn.linear_model import LogisticRegression

    shared = {case.patient for case in train} & {case.patient for case in holdout}
    if shared:
        raise CohortError(f"{len(shared)} patients are in training and in the hold-out; split by patient")
    labels = np.array([case.label for case in holdout], np.int64)
    bootstrap = PatientBootstrap([case.patient for case in holdout], labels.tolist(), config, seed)
    if len({case.label for case in train}) < 2:
        return BaselineResult(name=name, macro_auc=Estimate(value=None))
    encoder = _Encoder(features(train))
    model = LogisticRegression(C=REGULARISATION, max_iter=10_000)
    model.fit(encoder.encode(features(train)), np.array([case.label for case in train]))
    probabilities = np.zeros((len(holdout), len(LABELS)))
    probabilities[:, model.classes_] = model.predict_proba(encoder.encode(features(holdout)))
    # Cases with equal features must tie: the solver's last digits are no evidence.
    probabilities = probabilities.round(9)

    def macro(weights: Floats) -> dict[str, Floats]:
        return {"macro": multiclass_auc(labels, probabilities, weights)["macro"]}

    value = float(macro(np.ones((1, len(labels))))["macro"][0])
    samples = bootstrap.resample(macro)["macro"]
    everyone = np.ones(len(labels), bool)
    return BaselineResult(name=name, macro_auc=bootstrap.estimate(value, samples, everyone))


def fit_baselines(
    train: Sequence[CaseDescription],
    holdout: Sequence[CaseDescription],
    *,
    config: EvaluationConfig,
    seed: int,
) -> Baselines:
    """Both baselines; arguments and errors as for `fit_baseline`."""

    def fit(name: str, features: Callable[[Sequence[CaseDescription]], Features]) -> BaselineResult:
        return fit_baseline(name, features, train, holdout, config=config, seed=seed)

    return Baselines(
        metadata=fit("Scanner metadata alone", metadata_features),
        lung_density=fit("Mean lung HU alone", lung_density_features),
        train_patients=len({case.patient for case in train}),
        holdout_patients=len({case.patient for case in holdout}),
    )
