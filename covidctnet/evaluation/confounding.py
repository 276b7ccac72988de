"""How far the class can be told from where and how a scan was made, over a whole cohort."""

from collections.abc import Hashable, Sequence

import numpy as np

from covidctnet.config import EvaluationConfig
from covidctnet.evaluation.baselines import CaseDescription, fit_baseline, metadata_features
from covidctnet.labels import LABELS

_NO_BOOTSTRAP = EvaluationConfig(bootstrap_samples=10)


def cramers_v(first: Sequence[Hashable], second: Sequence[Hashable]) -> float | None:
    """Cramér's V of two categories, corrected for bias: 0 for independence, 1 where one tells the other.

    Source: Bergsma, A bias-correction for Cramér's V and Tschuprow's T, 2013. Without the correction, few
    patients and many scanners give high values by chance alone.

    Args:
        first: one value a patient.
        second: of the same length.

    Returns:
        None where either has one value only, or fewer than two patients are there.
    """
    rows, columns = (sorted(set(map(str, values))) for values in (first, second))
    count = len(first)
    if len(rows) < 2 or len(columns) < 2:
        return None
    table = np.zeros((len(rows), len(columns)))
    for a, b in zip(first, second, strict=True):
        table[rows.index(str(a)), columns.index(str(b))] += 1
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / count
    phi = float(((table - expected) ** 2 / expected).sum()) / count
    r, c = len(rows), len(columns)
    phi = max(0.0, phi - (r - 1) * (c - 1) / (count - 1))
    smaller = min(r - (r - 1) ** 2 / (count - 1), c - (c - 1) ** 2 / (count - 1)) - 1
    return min(1.0, float(np.sqrt(phi / smaller))) if smaller > 0 else None


def metadata_auc(cases: Sequence[CaseDescription], *, folds: int, seed: int) -> float | None:
    """Macro AUC of the classifier that sees scanner metadata alone, in cross-validation by patient.

    Args:
        cases: of all classes.
        folds: at most; fewer where a class has fewer patients.
        seed: of the folds.

    Returns:
        Mean over the folds in which it is defined; 0.5 is chance. None where a class has fewer than two
        patients.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    patients = {case.patient: case.label for case in cases}
    smallest = min(list(patients.values()).count(label) for label in range(len(LABELS)))
    folds = min(folds, smallest)
    if folds < 2:
        return None
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    labels, groups = [case.label for case in cases], [case.patient for case in cases]
    areas = []
    for train, test in splitter.split(np.zeros(len(cases)), labels, groups):
        result = fit_baseline(
            "Scanner metadata alone",
            metadata_features,
            [cases[index] for index in train],
            [cases[index] for index in test],
            config=_NO_BOOTSTRAP,
            seed=seed,
        )
        if result.macro_auc.value is not None and np.isfinite(result.macro_auc.value):
            areas.append(result.macro_auc.value)
    return float(np.mean(areas)) if areas else None
