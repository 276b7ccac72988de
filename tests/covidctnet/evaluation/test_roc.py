import numpy as np
import pytest

from covidctnet.evaluation.outcomes import CaseOutcome
from covidctnet.evaluation.reliability import reliability_bins
from covidctnet.evaluation.roc import multiclass_auc, roc_curves, weighted_auc


def make(label: int, probabilities: tuple[float, float, float], number: int) -> CaseOutcome:
    return CaseOutcome(
        case=f"c{number}",
        patient=f"p{number}",
        label=label,
        brand="",
        scanner="",
        probabilities=probabilities,
    )


def random_outcomes(count: int) -> list[CaseOutcome]:
    rng = np.random.default_rng(3)
    rows = rng.dirichlet((1, 1, 1), count).round(1)
    rows[:, 0] = 1 - rows[:, 1] - rows[:, 2]
    return [make(i % 3, tuple(row), i) for i, row in enumerate(np.clip(rows, 0, 1).tolist())]


def test_weights_count_like_repeated_cases() -> None:
    positive, scores = np.array([True, False, True, False]), np.array([0.9, 0.4, 0.4, 0.1])
    weighted = weighted_auc(positive, scores, np.array([[1.0, 2.0, 3.0, 0.0]]))
    times = [1, 2, 3, 0]
    repeated = weighted_auc(positive.repeat(times), scores.repeat(times), np.ones((1, 6)))
    assert weighted[0] == repeated[0] == pytest.approx((1 * 2 + 3 * 2 * 0.5) / (4 * 2))


def test_an_area_without_one_side_is_not_a_number() -> None:
    areas = weighted_auc(np.array([True, False]), np.array([0.2, 0.1]), np.array([[1.0, 0.0], [1.0, 1.0]]))
    assert np.isnan(areas[0])
    assert areas[1] == 1.0


def test_curves_have_the_areas_that_the_metrics_state() -> None:
    outcomes = random_outcomes(40)
    labels = np.array([o.label for o in outcomes])
    areas = multiclass_auc(labels, np.array([o.probabilities for o in outcomes]), np.ones((1, 40)))
    curves = {curve.name: curve for curve in roc_curves(outcomes)}
    assert set(curves) == {"Control", "Covid-19", "CAP", "macro", "micro"}
    for name, curve in curves.items():
        assert curve.auc == pytest.approx(areas[name][0], abs=1e-12), name


def test_curves_rise_from_corner_to_corner() -> None:
    for curve in roc_curves(random_outcomes(40)):
        for rates in (curve.false_positive_rate, curve.true_positive_rate):
            assert (rates[0], rates[-1]) == (0.0, pytest.approx(1.0))
            assert (np.diff(rates) > -1e-12).all()


def test_a_missing_class_has_no_curve_and_there_is_no_macro_average() -> None:
    outcomes = [o for o in random_outcomes(30) if o.label != 2]
    assert [curve.name for curve in roc_curves(outcomes)] == ["Control", "Covid-19", "micro"]


def test_reliability_puts_cases_into_bins_whose_upper_bound_belongs_to_them() -> None:
    outcomes = [make(0, (0.5, 0.3, 0.2), 0), make(1, (0.45, 0.35, 0.2), 1), make(2, (0.0, 0.0, 1.0), 2)]
    low, high = reliability_bins(outcomes)
    assert (low.low, low.high, low.cases, low.accuracy) == (0.4, 0.5, 2, 0.5)
    assert low.confidence == pytest.approx(0.475)
    assert (high.high, high.cases, high.accuracy) == (1.0, 1, 1.0)
