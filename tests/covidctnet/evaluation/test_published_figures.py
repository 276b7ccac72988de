"""The paper's figures: the text's arithmetic, done again."""

import pytest

from covidctnet.evaluation.published import (
    HOLDOUT,
    MEAN_READER,
    MODEL,
    READER_TEST,
    PublishedFigure,
    compositions,
    fits,
    gaps,
    published_figures,
)


def figure(setting: str, metric: str, rater: str = MODEL) -> PublishedFigure:
    (found,) = [f for f in published_figures() if (f.setting, f.metric, f.rater) == (setting, metric, rater)]
    return found


@pytest.mark.parametrize(
    ("percent", "hits", "total", "expected"),
    [
        ("86.66", 13, 15, True),  # cut off
        ("93.33", 14, 15, True),
        ("93", 13, 14, True),  # rounded
        ("93", 12, 13, False),
        ("100", 19, 20, False),
        ("82.14", 23, 28, True),
    ],
)
def test_a_printed_percentage_is_rounded_or_cut_off(percent: str, hits: int, total: int, *, expected: bool) -> None:
    assert fits(percent, hits, total) is expected


def test_the_holdout_held_eleven_covid_cases() -> None:
    assert compositions(15, 1, "93.33", "90.91", "100") == [(11, 4)]
    assert figure(HOLDOUT, "covid sensitivity").fraction == (10, 11)
    assert figure(HOLDOUT, "covid specificity").fraction == (4, 4)
    assert figure(HOLDOUT, "accuracy").fraction == (13, 15)


def test_intervals_are_exact_where_the_fraction_is_known() -> None:
    # statsmodels 0.15: proportion_confint(10, 11, method="beta").
    found = figure(HOLDOUT, "covid sensitivity").estimate(0.95)
    assert (found.low, found.high) == pytest.approx((0.5872200830116173, 0.9977010277861857))
    assert figure(HOLDOUT, "covid auc").estimate(0.95).method is None


def test_no_composition_fits_model_and_readers_of_the_reader_test() -> None:
    model = compositions(20, 1, "95", "93", "100")
    readers = compositions(20, 4, "81", "79", "82.14")
    # docs/readers.md gives these numbers.
    assert model == [(14, 6), (15, 5), (16, 4)]
    assert readers == [(6, 14)]
    for metric in ("covid sensitivity", "covid specificity"):
        assert figure(READER_TEST, metric).fraction is None
        assert figure(READER_TEST, metric, MEAN_READER).gap
    assert figure(READER_TEST, "accuracy").fraction == (17, 20)
    assert any("No composition of the 20 reader cases" in sentence for sentence in gaps())


def test_one_composition_fits_had_two_figures_changed_places() -> None:
    exchanged = compositions(20, 4, "81", "82.14", "79")
    assert set(compositions(20, 1, "95", "93", "100")) & set(exchanged) == {(14, 6)}
    assert any("14 with Covid-19 and 6 without, had the readers'" in sentence for sentence in gaps())
