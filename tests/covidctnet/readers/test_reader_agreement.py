"""Kappa against published examples, scikit-learn, and statsmodels 0.15's values for the same numbers."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from covidctnet.config import EvaluationConfig
from covidctnet.evaluation.bootstrap import PatientBootstrap
from covidctnet.readers.agreement import cohen_kappa, fleiss_kappa, measure_agreement

# 14 raters, 10 cases, 5 classes: the example that statsmodels' own tests hold, kappa 0.210 there.
COUNTS = np.array(
    [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
)
# Cohen 1960, table 2: two judges, three diagnoses, 200 patients; kappa 0.492.
COHEN_1960 = np.array([[88, 14, 18], [10, 40, 10], [2, 6, 12]])


def once(count: int) -> np.ndarray:
    return np.ones((1, count))


def test_fleiss_kappa_of_the_published_example() -> None:
    assert fleiss_kappa(COUNTS, once(10))[0] == pytest.approx(0.20993070442195522, abs=1e-12)


def test_fleiss_kappa_reads_weights_as_repeats() -> None:
    weights = np.array([[2, 0, 1, 3, 1, 1, 0, 0, 1, 1]], float)
    assert fleiss_kappa(COUNTS, weights) == pytest.approx(
        fleiss_kappa(np.repeat(COUNTS, weights[0].astype(int), axis=0), once(10))
    )


def test_cohen_kappa_of_the_published_example() -> None:
    first, second = (np.repeat(part, COHEN_1960.ravel()) for part in np.indices((3, 3)).reshape(2, 9))
    assert cohen_kappa(first, second, once(200))[0] == pytest.approx(0.492, abs=5e-4)


def test_cohen_kappa_is_scikit_learns_under_weights() -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 3, 40)
    second = np.where(rng.uniform(size=40) < 0.6, first, rng.integers(0, 3, 40))
    weights = rng.integers(0, 4, size=(6, 40)).astype(float)
    expected = [cohen_kappa_score(first, second, sample_weight=row) for row in weights]
    assert cohen_kappa(first, second, weights) == pytest.approx(expected)


def test_kappa_of_one_class_only_is_not_defined() -> None:
    same = np.zeros(5, np.int64)
    assert np.isnan(cohen_kappa(same, same, once(5))).all()
    assert np.isnan(fleiss_kappa(np.array([[3, 0, 0]] * 5), once(5))).all()


def test_agreement_of_readers_has_intervals_around_its_values() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1, 2], 8)
    answers = np.stack([np.where(rng.uniform(size=24) < 0.7, labels, rng.integers(0, 3, 24)) for _ in range(3)])
    config = EvaluationConfig(bootstrap_samples=200)
    bootstrap = PatientBootstrap([f"p{number}" for number in range(24)], labels.tolist(), config, 0)

    found = measure_agreement(("a", "b", "c"), answers, bootstrap)

    assert [(pair.first, pair.second) for pair in found.pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert found.pairs[1].kappa.value == pytest.approx(cohen_kappa_score(answers[0], answers[2]))
    assert found.unanimous == np.mean((answers[0] == answers[1]) & (answers[1] == answers[2]))
    low, high = found.overall.low, found.overall.high
    assert low is not None
    assert high is not None
    assert low < found.overall.value < high
