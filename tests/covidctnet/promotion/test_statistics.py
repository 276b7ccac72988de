"""Agreement with published worked examples and reference implementations, to 1e-6."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import brier_score_loss, roc_auc_score

from covidctnet.errors import PromotionError
from covidctnet.promotion.statistics import (
    brier_terms,
    delong,
    exact_interval,
    mcnemar_exact,
    percentile_interval,
)

CLOSE = 1e-6


def slow_delong(positive: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[float, float, float]:
    """The three quantities straight from the definition of DeLong et al. (1988), pair by pair."""

    def kernel(x: float, y: float) -> float:
        return 1.0 if x > y else 0.5 if x == y else 0.0

    areas, structural = [], []
    for scores in (first, second):
        up, down = scores[positive], scores[~positive]
        v10 = [sum(kernel(x, y) for y in down) / len(down) for x in up]
        v01 = [sum(kernel(x, y) for x in up) / len(up) for y in down]
        areas.append(sum(v10) / len(v10))
        structural.append((v10, v01))
    s10 = np.cov([structural[0][0], structural[1][0]])
    s01 = np.cov([structural[0][1], structural[1][1]])
    covariance = s10 / positive.sum() + s01 / (~positive).sum()
    contrast = np.array([1.0, -1.0])
    return areas[0], areas[1], math.sqrt(max(0.0, contrast @ covariance @ contrast))


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 1998, table I, method 5 ("exact").
        (81, 263, 0.2527, 0.3676),
        (15, 148, 0.0578, 0.1617),
        (0, 20, 0.0, 0.1684),
        (1, 29, 0.0009, 0.1776),
    ],
)
def test_exact_intervals_are_those_of_newcombes_table(hits: int, total: int, low: float, high: float) -> None:
    found = exact_interval(hits, total, 0.95)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.8, 0.95]))
def test_exact_intervals_invert_the_binomial_tails(trial: tuple[int, int], confidence: float) -> None:
    hits, total = trial
    found, tail = exact_interval(hits, total, confidence), (1 - confidence) / 2
    if hits:
        assert stats.binom.sf(hits - 1, total, found.low) == pytest.approx(tail, abs=CLOSE)
        assert found.low == pytest.approx(stats.beta.ppf(tail, hits, total - hits + 1), abs=CLOSE)
    else:
        assert found.low == 0.0
    if hits < total:
        assert stats.binom.cdf(hits, total, found.high) == pytest.approx(tail, abs=CLOSE)
    else:
        assert found.high == 1.0


@pytest.mark.parametrize(("hits", "total"), [(0, 0), (3, 2), (-1, 5)])
def test_what_is_no_share_is_refused(hits: int, total: int) -> None:
    with pytest.raises(PromotionError, match=f"{hits} of {total}"):
        exact_interval(hits, total, 0.95)


def pairs(both: int, gained: int, lost: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    first = np.repeat([True, True, False, False], [both, gained, lost, neither])
    second = np.repeat([True, False, True, False], [both, gained, lost, neither])
    return first, second


@pytest.mark.parametrize(
    ("gained", "lost", "expected"),
    [
        # Sums of binomial coefficients by hand: 2 * (1+10+45) / 2**10, 2 * (1+6) / 2**6.
        (2, 8, 112 / 1024),
        (5, 1, 14 / 64),
        (4, 4, 1.0),
        (0, 0, 1.0),
        (0, 5, 2 / 32),
    ],
)
def test_mcnemar_agrees_with_sums_by_hand(gained: int, lost: int, expected: float) -> None:
    found = mcnemar_exact(*pairs(7, gained, lost, 3))
    assert (found.gained, found.lost) == (gained, lost)
    assert found.p_value == pytest.approx(expected, abs=CLOSE)


def test_mcnemar_agrees_with_a_textbook() -> None:
    # Agresti, Categorical Data Analysis, approval of the prime minister: 86 and 150 discordant pairs. The exact
    # tail of Bin(236, 1/2), as sums of integers.
    exact = 2 * sum(math.comb(236, k) for k in range(87)) / 2**236
    assert mcnemar_exact(*pairs(794, 150, 86, 570)).p_value == pytest.approx(exact, abs=CLOSE, rel=CLOSE)
    assert exact == pytest.approx(3.7e-5, rel=0.05)


SCORES = st.lists(st.integers(0, 6).map(lambda value: value / 6), min_size=24, max_size=24)


@given(first=SCORES, second=SCORES, positives=st.integers(2, 22))
def test_delong_agrees_with_its_definition(first: list[float], second: list[float], positives: int) -> None:
    positive, a, b = np.arange(24) < positives, np.array(first), np.array(second)
    found = delong(positive, a, b)
    one, two, error = slow_delong(positive, a, b)
    assert (found.candidate, found.champion) == pytest.approx((one, two), abs=CLOSE)
    assert found.candidate == pytest.approx(roc_auc_score(positive, a), abs=CLOSE)
    assert found.champion == pytest.approx(roc_auc_score(positive, b), abs=CLOSE)
    assert found.standard_error == pytest.approx(error, abs=CLOSE)
    if error > 1e-9 and abs(one - two) > 1e-9:
        assert found.p_value == pytest.approx(2 * stats.norm.sf(abs(one - two) / error), abs=CLOSE)


@given(first=SCORES, second=SCORES)
def test_delong_is_symmetric(first: list[float], second: list[float]) -> None:
    positive, a, b = np.arange(24) % 2 == 0, np.array(first), np.array(second)
    one, two = delong(positive, a, b), delong(positive, b, a)
    assert one.difference == -two.difference
    assert one.standard_error == pytest.approx(two.standard_error, abs=1e-12)
    assert (one.p_value is None) == (two.p_value is None)
    if one.p_value is not None and two.p_value is not None:
        assert one.p_value == pytest.approx(two.p_value, abs=1e-9)


def test_delong_says_nothing_of_one_case_a_side() -> None:
    with pytest.raises(PromotionError, match="two cases or more"):
        delong(np.array([True, False, False]), np.ones(3), np.ones(3))


def test_a_sure_difference_without_variance_has_no_p_value() -> None:
    positive = np.array([True, True, False, False])
    found = delong(positive, positive.astype(float), 1.0 - positive)
    assert (found.difference, found.standard_error, found.p_value) == (1.0, 0.0, None)


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0.01, 1), st.floats(0.01, 1), st.floats(0.01, 1)), min_size=3))
def test_brier_agrees_with_scikit_learn(rows: list[tuple[int, float, float, float]]) -> None:
    labels = np.array([row[0] for row in rows])
    raw = np.array([row[1:] for row in rows])
    probabilities = raw / raw.sum(axis=1, keepdims=True)
    expected = brier_score_loss(labels, probabilities, labels=[0, 1, 2], scale_by_half=False)
    assert brier_terms(labels, probabilities).mean() == pytest.approx(expected, abs=CLOSE)


def test_percentiles_leave_half_of_the_rest_on_each_side() -> None:
    found = percentile_interval(np.arange(1001.0), 0.9)
    assert (found.low, found.high) == pytest.approx((50.0, 950.0), abs=CLOSE)
