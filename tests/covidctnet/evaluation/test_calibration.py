import logging

import numpy as np
import pytest
from numpy.typing import NDArray

from covidctnet.errors import CohortError, TrainingError
from covidctnet.evaluation.calibration import (
    TEMPERATURE_RANGE,
    apply_temperature,
    fit_temperature,
    fit_threshold,
)


def calibrated_logits(count: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Logits whose softmax is exactly the chance by which the labels are drawn."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=1.5, size=(count, 3))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (chances.cumsum(axis=1) > rng.uniform(size=(count, 1))).argmax(axis=1)
    return logits, labels


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: NDArray[np.float64] = values / values.sum(axis=1, keepdims=True)
    return result


@pytest.mark.parametrize("scale", [0.4, 1.0, 3.0])
def test_the_temperature_by_which_logits_were_scaled_is_found(scale: float) -> None:
    logits, labels = calibrated_logits(4000)
    assert fit_temperature(softmax(logits * scale), labels) == pytest.approx(scale, rel=0.08)


def test_logits_and_their_probabilities_give_the_same_temperature() -> None:
    logits, labels = calibrated_logits(300)
    from_logits = fit_temperature(logits * 2, labels, from_logits=True)
    assert from_logits == pytest.approx(fit_temperature(softmax(logits * 2), labels), rel=1e-4)


def test_answers_that_are_worse_than_chance_are_softened_to_the_bound() -> None:
    wrong = np.eye(3)[[1, 2, 0]] * 0.98 + 0.02 / 3
    assert fit_temperature(wrong, [0, 1, 2]) == pytest.approx(TEMPERATURE_RANGE[1], rel=1e-3)


def test_a_validation_without_mistake_never_sharpens(caplog: pytest.LogCaptureFixture) -> None:
    probabilities = np.eye(3) * 0.4 + 0.2
    with caplog.at_level(logging.WARNING):
        assert fit_temperature(probabilities, [0, 1, 2]) == 1.0
    assert "all 3 validation cases are right" in caplog.text


def test_equal_probabilities_are_no_right_answer() -> None:
    assert fit_temperature(np.full((3, 3), 1 / 3), [0, 1, 2]) != 1.0


def test_temperature_one_changes_nothing_and_others_keep_the_order() -> None:
    probabilities = softmax(calibrated_logits(50)[0])
    assert apply_temperature(probabilities, 1.0) == pytest.approx(probabilities, abs=1e-12)
    for temperature in TEMPERATURE_RANGE:
        scaled = apply_temperature(probabilities, temperature)
        assert scaled.sum(axis=1) == pytest.approx(np.ones(50))
        assert (scaled.argmax(axis=1) == probabilities.argmax(axis=1)).all()


def test_a_probability_of_zero_stays_finite() -> None:
    scaled = apply_temperature(np.array([[1.0, 0.0, 0.0]], np.float32), 20.0)
    assert np.isfinite(scaled).all()
    assert scaled[0, 0] > 0.95


def test_temperature_softens_as_its_formula_says() -> None:
    assert apply_temperature([[0.8, 0.1, 0.1]], 2.0)[0] == pytest.approx(
        np.sqrt([0.8, 0.1, 0.1]) / np.sqrt([0.8, 0.1, 0.1]).sum()
    )


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_an_impossible_temperature_is_refused(temperature: float) -> None:
    with pytest.raises(TrainingError, match="positive and finite"):
        apply_temperature([[0.2, 0.3, 0.5]], temperature)


def test_scores_that_are_not_finite_are_refused() -> None:
    with pytest.raises(TrainingError, match="diverged"):
        fit_temperature([[np.nan, 0.5, 0.5]], [0])


def test_labels_must_be_class_indices_one_a_case() -> None:
    with pytest.raises(CohortError, match="one label for each of 1 cases"):
        fit_temperature([[0.2, 0.3, 0.5]], [0, 1])
    with pytest.raises(CohortError, match=r"0 to 2, not \[7\]"):
        fit_temperature([[0.2, 0.3, 0.5]], [7])


def test_the_threshold_lies_in_the_middle_of_the_gap_that_separates() -> None:
    assert fit_threshold([0.1, 0.3, 0.7, 0.9], [0, 2, 1, 1]) == pytest.approx(0.5)


def test_of_equally_good_gaps_the_more_sensitive_one_is_taken() -> None:
    # From 0.35 or from 0.75 upwards, sensitivity + specificity are equal.
    assert fit_threshold([0.2, 0.3, 0.4, 0.6, 0.7, 0.8], [0, 0, 1, 0, 2, 1]) == pytest.approx(0.35)
    assert fit_threshold([0.1, 0.4, 0.6, 0.9], [0, 1, 0, 1]) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("scores", "labels"),
    [([0.2, 0.9], [1, 1]), ([0.2, 0.9], [0, 2]), ([0.4, 0.4], [0, 1]), ([0.9, 0.1], [0, 1])],
    ids=["Covid-19 only", "no Covid-19", "equal scores", "worse than chance"],
)
def test_the_threshold_falls_back_to_a_half(
    scores: list[float], labels: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert fit_threshold(scores, labels) == 0.5
    assert "0.5 is used" in caplog.text


def test_neighbouring_floats_are_still_told_apart() -> None:
    low = 0.5
    high = float(np.nextafter(low, 1.0))
    threshold = fit_threshold([low, high], [0, 1])
    assert low < threshold <= high


def test_a_probability_outside_0_to_1_is_refused() -> None:
    with pytest.raises(TrainingError, match="from 0 to 1"):
        fit_threshold([0.2, float("nan")], [0, 1])
