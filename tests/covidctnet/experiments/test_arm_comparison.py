from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, roc_auc_score

from covidctnet.config import EvaluationConfig
from covidctnet.errors import ExperimentError
from covidctnet.experiments.answers import load_answers, save_answers
from covidctnet.experiments.comparison import compare_arms, interval_over_seeds, measure_answers
from covidctnet.experiments.crossval import measure_calibration
from covidctnet.experiments.pooled import PooledAnswers, paired_difference
from covidctnet.labels import COVID
from tests.helpers.experiments import make_answers, make_cases

CONFIG = EvaluationConfig(bootstrap_samples=200)
CASES = make_cases(15)


def test_metrics_are_those_of_scikit_learn():
    answers = make_answers(CASES, arm="a", skill=1.0)
    labels = [outcome.label for outcome in answers.test]
    shares = np.array([outcome.probabilities for outcome in answers.calibrated()])
    measured = measure_answers(answers)
    assert measured["macro_auc"] == pytest.approx(roc_auc_score(labels, shares, multi_class="ovr"))
    covid = np.array(labels) == COVID
    assert measured["covid_auc"] == pytest.approx(roc_auc_score(covid, shares[:, COVID]))
    assert measured["accuracy"] == pytest.approx(accuracy_score(labels, shares.argmax(axis=1)))
    assert measured["covid_accuracy"] == pytest.approx(accuracy_score(covid, shares[:, COVID] >= 0.4))
    assert measured["brier"] == pytest.approx(brier_score_loss(labels, shares, scale_by_half=False))
    found = measure_calibration(answers.calibrated())
    assert found.log_loss == pytest.approx(log_loss(labels, shares))


def test_an_arm_that_is_better_with_every_seed_is_called_better_and_the_other_worse():
    good, bad = (
        [make_answers(CASES, arm=str(skill), seed=seed, skill=skill) for seed in range(4)] for skill in (3.0, 0.0)
    )
    ahead = compare_arms(good, bad, CONFIG, 0).of("macro_auc")
    assert ahead.verdict == 1
    assert ahead.patients.value == pytest.approx(np.mean(ahead.by_seed))
    behind = compare_arms(bad, good, CONFIG, 0)
    assert behind.of("macro_auc").verdict == -1
    assert behind.of("macro_auc").patients.low == pytest.approx(-ahead.patients.high)
    # Lower is better for the Brier score alone: the sign of the difference and of the verdict part there.
    assert behind.of("brier").patients.value > 0 > behind.of("brier").verdict


def test_an_arm_against_itself_shows_nothing():
    arm = [make_answers(CASES, arm="a", seed=seed) for seed in range(3)]
    found = compare_arms(arm, arm, CONFIG, 0)
    assert all(difference.verdict == 0 and difference.patients.value == 0.0 for difference in found.differences)
    assert all(test.three_classes.p_value == 1.0 == test.covid_auc.p_value for test in found.tests)


def test_two_equal_arms_with_other_errors_are_not_told_apart():
    first, second = ([make_answers(CASES, arm="a", seed=s, noise=noise) for s in range(4)] for noise in (1, 2))
    assert compare_arms(first, second, CONFIG, 0).of("macro_auc").verdict == 0


def test_answers_of_other_patients_are_refused():
    with pytest.raises(ExperimentError, match="answered for other patients"):
        compare_arms([make_answers(CASES, arm="a")], [make_answers(CASES[1:], arm="b")], CONFIG, 0)


def test_the_interval_over_seeds_is_students_with_the_corrected_variance():
    values = np.array([0.02, 0.05, 0.01, 0.04])
    found = interval_over_seeds(values, tested=10.0, trained=40.0, confidence=0.95)
    error = np.sqrt((1 / 4 + 10 / 40) * values.var(ddof=1))
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 3, loc=values.mean(), scale=error))
    # Without overlap it is the interval of a plain mean.
    plain = interval_over_seeds(values, tested=0.0, trained=40.0, confidence=0.95)
    assert (plain.low, plain.high) == pytest.approx(
        stats.t.interval(0.95, 3, loc=values.mean(), scale=stats.sem(values))
    )
    assert interval_over_seeds(values[:1], tested=1.0, trained=2.0, confidence=0.95) is None
    assert interval_over_seeds(np.full(3, 0.1), tested=1.0, trained=2.0, confidence=0.95) is None


def test_answers_come_back_from_disk(tmp_path):
    answers = [make_answers(CASES, arm="a"), make_answers(CASES, arm="b", seed=1)]
    save_answers(tmp_path / "x", answers)
    assert load_answers([tmp_path / "x"]) == answers


def test_a_paired_difference_matches_cases_by_name_whatever_their_order():
    entry = make_answers(CASES, arm="a", skill=1.5)
    turned = replace(entry, test=entry.test[::-1])
    found = paired_difference(PooledAnswers([entry]), PooledAnswers([turned]), "accuracy", CONFIG, 0)
    assert found.value == 0.0
    assert found.low is None


def test_each_fold_is_read_at_its_own_threshold():
    entry = make_answers(CASES, arm="a", skill=1.0)
    half = len(CASES) // 2
    strict = replace(entry, test=entry.test[:half], threshold=1.0)
    lax = replace(entry, test=entry.test[half:], threshold=0.0)
    pooled = PooledAnswers([strict, lax])
    assert not pooled.positive[:half].any()
    assert pooled.positive[half:].all()
