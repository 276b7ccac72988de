import numpy as np
import pytest
from sklearn.metrics import roc_curve

from covidctnet.config import EvaluationConfig
from covidctnet.evaluation.outcomes import CaseOutcome
from covidctnet.evaluation.roc_band import roc_bands, sensitivities


def outcomes(count: int, skill: float = 1.0) -> list[CaseOutcome]:
    rng = np.random.default_rng(2)
    made = []
    for number in range(count):
        logits = rng.normal(size=3)
        logits[number % 3] += skill
        chances = np.exp(logits) / np.exp(logits).sum()
        made.append(
            CaseOutcome(
                case=f"c{number}",
                patient=f"p{number}",
                label=number % 3,
                brand="",
                scanner="",
                probabilities=tuple(chances.tolist()),  # type: ignore[arg-type]
            )
        )
    return made


def test_sensitivities_lie_on_scikit_learns_curve_under_weights() -> None:
    rng = np.random.default_rng(0)
    positive, scores = rng.uniform(size=30) < 0.5, rng.integers(0, 8, 30) / 8.0
    weights = rng.integers(1, 4, size=(5, 30)).astype(float)
    for row, found_at in zip(weights, range(5), strict=True):
        false, true, _ = roc_curve(positive, scores, sample_weight=row, drop_intermediate=False)
        found = sensitivities(positive, scores, weights, np.unique(false))[found_at]
        assert found == pytest.approx([true[false == rate].max() for rate in np.unique(false)])


def test_bands_hold_the_curve_and_narrow_with_more_patients() -> None:
    config = EvaluationConfig(bootstrap_samples=300)
    few, many = (roc_bands(outcomes(count), config, 0)["Covid-19"] for count in (30, 300))
    widths = [np.mean(np.subtract(band.high, band.low)) for band in (few, many)]
    assert widths[1] < 0.5 * widths[0]
    made = outcomes(300)
    truth, scores = [o.label == 1 for o in made], [o.probabilities[1] for o in made]
    false, true, _ = roc_curve(truth, scores, drop_intermediate=False)
    curve = np.interp(many.false_positive_rate, false, true)
    assert ((np.array(many.low) <= curve + 1e-9) & (curve <= np.array(many.high) + 1e-9)).mean() > 0.98


def test_a_class_of_one_patient_has_no_band() -> None:
    made = [*outcomes(31)[:30:3], *outcomes(31)[1:20:3], outcomes(3)[2]]
    found = roc_bands(made, EvaluationConfig(bootstrap_samples=20), 0)
    assert set(found) == {"Control", "Covid-19"}
