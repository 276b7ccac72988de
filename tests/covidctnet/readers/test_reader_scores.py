from statistics import mean

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, recall_score

from covidctnet.config import EvaluationConfig
from covidctnet.evaluation.bootstrap import PatientBootstrap
from covidctnet.readers.paired import holm, mean_differences, paired_tests
from covidctnet.readers.scores import ENDPOINTS, NO_CLASS, RaterAnswers, mean_reader, score

LABELS = np.repeat([0, 1, 2], [7, 7, 6])
RNG = np.random.default_rng(3)
CONFIG = EvaluationConfig(bootstrap_samples=300)


def answers(rate: float) -> np.ndarray:
    return np.where(RNG.uniform(size=20) < rate, LABELS, RNG.integers(0, 3, 20))


READERS = [RaterAnswers.of_reader(f"r{number}", answers(0.6), LABELS) for number in range(4)]
MODEL = RaterAnswers.of_reader("model", answers(0.9), LABELS)


def bootstrap() -> PatientBootstrap:
    return PatientBootstrap([f"p{number}" for number in range(20)], LABELS.tolist(), CONFIG, 0)


def test_scores_are_scikit_learns() -> None:
    reader = READERS[0]
    found = score(reader, LABELS, bootstrap(), 0.95)
    covid, said = LABELS == 1, reader.classes == 1
    assert found["accuracy"].value == pytest.approx(accuracy_score(LABELS, reader.classes))
    assert found["covid accuracy"].value == pytest.approx(accuracy_score(covid, said))
    assert found["covid sensitivity"].value == pytest.approx(recall_score(covid, said))
    assert found["covid specificity"].value == pytest.approx(recall_score(~covid, ~said))
    assert found["CAP sensitivity"].value == pytest.approx(recall_score(LABELS == 2, reader.classes == 2))
    assert found["macro sensitivity"].value == pytest.approx(recall_score(LABELS, reader.classes, average="macro"))
    assert found["micro sensitivity"].value == pytest.approx(recall_score(LABELS, reader.classes, average="micro"))
    assert found["macro specificity"].value == pytest.approx(
        mean(recall_score(k != LABELS, reader.classes != k) for k in range(3))
    )


def test_intervals_are_those_of_clopper_and_pearson() -> None:
    # statsmodels 0.15: proportion_confint(19, 20, method="beta").
    nearly = RaterAnswers.of_reader("r", np.r_[LABELS[:-1], 0], LABELS)
    found = score(nearly, LABELS, bootstrap(), 0.95)["accuracy"]
    assert (found.value, found.method) == (0.95, "exact")
    assert (found.low, found.high) == pytest.approx((0.7512672372279722, 0.9987349105020502), abs=1e-9)


def test_a_case_without_a_class_is_wrong_whatever_it_is() -> None:
    classes = LABELS.copy()
    classes[[0, 7]] = NO_CLASS
    silent = RaterAnswers(name="model", classes=classes, covid_right=classes == LABELS)
    found = score(silent, LABELS, bootstrap(), 0.95)
    assert found["accuracy"].value == pytest.approx(18 / 20)
    assert found["covid sensitivity"].value == pytest.approx(6 / 7)
    assert found["covid specificity"].value == pytest.approx(12 / 13)
    assert found["CAP specificity"].value == pytest.approx(12 / 14)


def test_the_mean_reader_is_the_mean_and_differs_from_the_model_by_the_difference() -> None:
    each = [score(reader, LABELS, bootstrap(), 0.95) for reader in READERS]
    average = mean_reader(READERS, LABELS, bootstrap())
    own = score(MODEL, LABELS, bootstrap(), 0.95)
    for difference in mean_differences(MODEL, READERS, LABELS, bootstrap(), 0):
        name = difference.endpoint
        assert average[name].value == pytest.approx(mean(found[name].value or 0.0 for found in each))
        assert difference.these_readers.value == pytest.approx((own[name].value or 0) - (average[name].value or 0))


def test_redrawing_readers_as_well_widens_the_interval() -> None:
    good, poor = LABELS.copy(), np.where(np.arange(20) % 2, LABELS, (LABELS + 1) % 3)
    readers = [RaterAnswers.of_reader(f"r{n}", said, LABELS) for n, said in enumerate((good, poor, good, poor))]
    found = {d.endpoint: d for d in mean_differences(MODEL, readers, LABELS, bootstrap(), 0)}["accuracy"]
    widths = [(e.high or 0) - (e.low or 0) for e in (found.these_readers, found.other_readers)]
    assert widths[0] < widths[1]


def test_paired_tests_count_the_cases_that_differ() -> None:
    tests = {(test.endpoint, test.reader): test for test in paired_tests(MODEL, READERS, LABELS)}
    assert len(tests) == len(ENDPOINTS) * len(READERS)
    for reader in READERS:
        right, theirs = MODEL.classes == LABELS, reader.classes == LABELS
        found = tests["accuracy", reader.name].test
        assert (found.gained, found.lost) == ((right & ~theirs).sum(), (theirs & ~right).sum())
        covid = LABELS == 1
        found = tests["covid sensitivity", reader.name].test
        assert found.gained == (MODEL.covid_right & ~reader.covid_right & covid).sum()


def test_holm_gives_statsmodels_values() -> None:
    # statsmodels 0.15: multipletests([0.01, 0.04, 0.03, 0.005], method="holm").
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_mcnemar_is_the_exact_one() -> None:
    # statsmodels 0.15: mcnemar([[10, 1], [8, 1]], exact=True).
    right = np.repeat([True, True, False, False], [10, 8, 1, 1])
    theirs = np.repeat([True, False, True, False], [10, 8, 1, 1])
    labels = np.where(right, 1, 0)
    model = RaterAnswers(name="model", classes=np.ones(20, np.int64), covid_right=right)
    reader = RaterAnswers(name="r", classes=np.ones(20, np.int64), covid_right=theirs)
    (found,) = [t for t in paired_tests(model, [reader], labels) if t.endpoint == "covid accuracy"]
    assert (found.test.gained, found.test.lost) == (8, 1)
    assert found.test.p_value == pytest.approx(0.0390625)
