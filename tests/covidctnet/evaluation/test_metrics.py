import json
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from covidctnet.config import EvaluationConfig
from covidctnet.errors import CohortError, ConfigError
from covidctnet.evaluation.metrics import Metrics, evaluate
from covidctnet.evaluation.outcomes import CaseOutcome
from covidctnet.evaluation.tables import metric_rows

CONFIG = EvaluationConfig(bootstrap_samples=300)


def outcome(case: str, label: int, probabilities: Sequence[float], **changes: str) -> CaseOutcome:
    values = {"patient": case, "brand": "GE", "scanner": "GE Revolution", **changes}
    return CaseOutcome(case=case, label=label, probabilities=tuple(probabilities), **values)  # type: ignore[arg-type]


def random_outcomes(patients: int, seed: int = 0) -> list[CaseOutcome]:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(patients, 3)) + 1.2 * np.eye(3)[np.arange(patients) % 3]
    values = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return [outcome(f"c{i}", i % 3, row) for i, row in enumerate(values.tolist())]


def measure(outcomes: Sequence[CaseOutcome], threshold: float = 0.4, seed: int = 0) -> Metrics:
    return evaluate(outcomes, threshold=threshold, config=CONFIG, seed=seed)


HAND = [
    outcome("a", 0, (0.8, 0.1, 0.1)),
    outcome("b", 0, (0.45, 0.5, 0.05)),
    outcome("c", 1, (0.1, 0.8, 0.1)),
    outcome("d", 1, (0.3, 0.3, 0.4)),
    outcome("e", 2, (0.1, 0.2, 0.7)),
    outcome("f", 2, (0.2, 0.1, 0.7)),
]


def test_three_classes_agree_with_counting_by_hand() -> None:
    three = measure(HAND).three_class
    assert three.confusion == ((1, 1, 0), (0, 1, 1), (0, 0, 2))
    assert three.accuracy.value == pytest.approx(4 / 6)
    assert three.per_class["CAP"].sensitivity.value == 1.0
    assert three.per_class["CAP"].specificity.value == pytest.approx(3 / 4)
    # Of the 8 pairs of a Covid-19 case and another, 0.8 wins 4 and 0.3 wins 3 (it loses to 0.5).
    assert three.per_class["Covid-19"].auc.value == pytest.approx(7 / 8)


def test_covid_against_rest_agrees_with_counting_by_hand() -> None:
    covid = measure(HAND, threshold=0.3).covid
    assert covid.confusion == ((3, 1), (0, 2))
    assert (covid.sensitivity.value, covid.specificity.value) == (1.0, 0.75)
    assert covid.accuracy.value == pytest.approx(5 / 6)


def test_a_probability_equal_to_the_threshold_is_positive_as_in_the_predictor() -> None:
    assert measure(HAND, threshold=0.8).covid.confusion == ((4, 0), (1, 1))


def test_areas_equal_those_of_scikit_learn() -> None:
    outcomes = random_outcomes(60)
    three = measure(outcomes).three_class
    labels = [o.label for o in outcomes]
    probabilities = np.array([o.probabilities for o in outcomes])
    truth = np.eye(3)[labels]
    macro = roc_auc_score(truth, probabilities, average="macro")
    assert three.macro_auc.value == pytest.approx(macro, abs=1e-12)
    micro = roc_auc_score(truth, probabilities, average="micro")
    assert three.micro_auc.value == pytest.approx(micro, abs=1e-12)


def test_brier_score_and_calibration_error_agree_with_hand_calculation() -> None:
    metrics = measure([outcome("a", 0, (0.8, 0.2, 0.0)), outcome("b", 1, (0.6, 0.4, 0.0))])
    assert metrics.brier.value == pytest.approx(((0.04 + 0.04) + (0.36 + 0.36)) / 2)
    # Alone in their bins: right at 0.8 and wrong at 0.6.
    assert metrics.expected_calibration_error == pytest.approx((0.2 + 0.6) / 2)


def test_same_seed_gives_the_same_intervals_and_another_seed_others() -> None:
    outcomes = random_outcomes(45)
    assert measure(outcomes, seed=1) == measure(outcomes, seed=1)
    first, other = (measure(outcomes, seed=seed).three_class.macro_auc for seed in (1, 2))
    assert first.value == other.value
    assert (first.low, first.high) != (other.low, other.high)


def test_intervals_hold_the_value_and_narrow_with_more_patients() -> None:
    few, many = (measure(random_outcomes(n)).three_class.accuracy for n in (30, 600))
    for estimate in (few, many):
        assert estimate.method == "bootstrap"
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.value is not None
        assert 0 <= estimate.low < estimate.value < estimate.high <= 1
    assert few.high - few.low > 2 * (many.high - many.low)  # type: ignore[operator]


def test_repeated_scans_of_a_patient_do_not_narrow_the_intervals() -> None:
    once = random_outcomes(45)
    thrice = [replace(o, case=f"{o.case}-{scan}") for o in once for scan in range(3)]
    a, b = measure(once).three_class.accuracy, measure(thrice).three_class.accuracy
    assert measure(thrice).patients == 45
    assert (b.value, b.low, b.high) == pytest.approx((a.value, a.low, a.high))


def test_a_missing_class_gives_none_and_no_invented_number() -> None:
    metrics = measure([o for o in HAND if o.label != 2])
    three = metrics.three_class
    assert three.macro_auc.value is None
    assert three.per_class["CAP"].auc.value is None
    assert three.per_class["CAP"].sensitivity.value is None
    assert three.per_class["Covid-19"].auc.value is not None
    assert "NaN" not in json.dumps(metrics.to_dict())


def test_one_patient_a_class_gives_exact_intervals_of_shares_and_none_of_areas() -> None:
    metrics = measure([HAND[0], HAND[2], HAND[4]])
    accuracy = metrics.three_class.accuracy
    assert (accuracy.value, accuracy.high, accuracy.method) == (1.0, 1.0, "exact")
    assert accuracy.low == pytest.approx(0.025 ** (1 / 3))
    assert metrics.three_class.macro_auc.value == 1.0
    assert metrics.three_class.macro_auc.low is None


def test_a_perfect_hold_out_does_not_claim_an_interval_without_width() -> None:
    sure = [outcome(f"c{i}", i % 3, np.eye(3)[i % 3].tolist()) for i in range(15)]
    accuracy = measure(sure).three_class.accuracy
    assert accuracy.low == pytest.approx(0.025 ** (1 / 15))


def test_exact_intervals_are_not_given_where_patients_have_several_cases() -> None:
    twins = [replace(HAND[0], case=f"scan {i}") for i in range(4)]
    assert measure([*twins, HAND[2], HAND[4]]).three_class.accuracy.low is None


def test_brands_are_counted_apart_and_lack_areas_where_they_lack_a_class() -> None:
    outcomes = [*HAND, outcome("g", 1, (0.2, 0.6, 0.2), brand=""), outcome("h", 1, (0.6, 0.2, 0.2), brand="")]
    brands = measure(outcomes).brands
    assert set(brands) == {"GE", "unknown"}
    assert brands["GE"].accuracy == pytest.approx(4 / 6)
    assert brands["GE"].macro_auc is not None
    assert (brands["unknown"].cases, brands["unknown"].accuracy) == (2, 0.5)
    assert brands["unknown"].macro_auc is None
    assert brands["unknown"].covid_auc is None


def test_rows_of_text_name_what_is_not_computable() -> None:
    rows = {row.what: row for row in metric_rows(measure(HAND[:4]))}
    assert rows["CAP or rest: AUC"].value == "not computable"
    assert rows["CAP or rest: AUC"].interval == ""
    assert rows["Covid-19 or not: specificity"].value == "0.500"


def test_two_thousand_samples_of_45_patients_take_less_than_two_seconds() -> None:
    outcomes = random_outcomes(45)
    start = time.perf_counter()
    evaluate(outcomes, threshold=0.5, config=EvaluationConfig(bootstrap_samples=2000), seed=0)
    assert time.perf_counter() - start < 2.0


def test_an_empty_hold_out_a_repeated_case_and_a_wrong_threshold_are_refused() -> None:
    with pytest.raises(CohortError, match="no case"):
        measure([])
    with pytest.raises(CohortError, match="1 cases appear twice"):
        measure([HAND[0], HAND[0]])
    with pytest.raises(ConfigError, match=r"not at 1\.5"):
        measure(HAND, threshold=1.5)


@pytest.mark.parametrize(
    ("label", "probabilities", "message"),
    [
        (3, (0.2, 0.3, 0.5), "0 to 2, not 3"),
        (0, (0.2, 0.3, 0.4), "add up to 1, not to 0.9"),
        (0, (float("nan"), 0.5, 0.5), "between 0 and 1"),
        (0, (-0.5, 0.5, 1.0), "between 0 and 1"),
        (0, (0.5, 0.5), "3 probabilities, not 2"),
    ],
)
def test_outcomes_that_cannot_be_are_refused(label: int, probabilities: tuple[float, ...], message: str) -> None:
    with pytest.raises(CohortError, match=message):
        outcome("a", label, probabilities)
