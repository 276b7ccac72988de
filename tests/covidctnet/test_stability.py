import math

import numpy as np
import pytest

from covidctnet.config import DriftConfig
from covidctnet.stability import (
    Bins,
    Categories,
    count_categories,
    fit_bins,
    index_by_chance,
    population_stability_index,
)

CONFIG = DriftConfig()


def test_the_index_of_a_case_worked_by_hand() -> None:
    # Shares 0.5, 0.5 become 0.8, 0.2: 0.3 ln 1.6 - 0.3 ln 0.4 = 0.3 ln 4.
    assert population_stability_index((50, 50), (80, 20), pseudo_count=0) == pytest.approx(0.3 * math.log(4))
    # Shares 0.2, 0.3, 0.5 become 0.5, 0.3, 0.2: 0.3 ln 2.5 twice.
    assert population_stability_index((2, 3, 5), (5, 3, 2), pseudo_count=0) == pytest.approx(0.6 * math.log(2.5))
    # Half a study more in every bin: 50.5 of 101 become 80.5 and 20.5 of 101.
    assert population_stability_index((50, 50), (80, 20)) == pytest.approx(30 / 101 * math.log(80.5 / 20.5))


def test_the_index_is_zero_for_equal_shares_and_finite_for_empty_bins() -> None:
    assert population_stability_index((10, 20, 30), (20, 40, 60), pseudo_count=0) == pytest.approx(0.0)
    assert 1.0 < population_stability_index((100, 0), (0, 100)) < math.inf


def test_rows_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ValueError, match="same bins"):
        population_stability_index((1, 2), (1, 2, 3))
    with pytest.raises(ValueError, match="same bins"):
        population_stability_index((0, 0), (1, 2), pseudo_count=0)


def test_bins_hold_about_equally_many_training_studies() -> None:
    values = np.random.default_rng(0).normal(size=200)
    bins = fit_bins(list(values), CONFIG)
    assert len(bins.counts) == CONFIG.max_bins
    assert sum(bins.counts) == 200
    assert set(bins.counts) == {20}
    assert [bins.place(value) for value in (-9.0, 9.0)] == [0, 9]
    assert [bins.place(edge) for edge in bins.edges] == list(range(1, 10))


@pytest.mark.parametrize(("studies", "bins"), [(1, 2), (9, 2), (14, 2), (15, 3), (49, 9), (500, 10)])
def test_few_training_studies_get_few_bins(studies: int, bins: int) -> None:
    fitted = fit_bins([number * 1.1 for number in range(studies)], CONFIG)
    assert len(fitted.counts) >= 2
    assert sum(fitted.counts) == studies
    if studies > 1:
        assert len(fitted.counts) == bins


@pytest.mark.parametrize("moved", [2.5, 3.1])
def test_a_value_that_all_studies_share_shows_a_move_to_either_side(moved: float) -> None:
    bins = fit_bins([3.0] * 40, CONFIG)
    places = {bins.place(value) for value in (2.5, 3.0, 3.1)}
    assert places == {0, 1, 2}
    assert bins.counts == (0, 40, 0)
    actual = [0, 0, 0]
    actual[bins.place(moved)] = 40
    index = population_stability_index(bins.counts, actual)
    assert index > 1.0 > index_by_chance(3, 40, 40, 0.999)


def test_most_indices_of_one_distribution_stay_below_that_of_chance() -> None:
    rng = np.random.default_rng(1)
    above = 0
    for _ in range(300):
        bins = fit_bins(list(rng.normal(size=150)), CONFIG)
        actual = np.bincount([bins.place(value) for value in rng.normal(size=100)], minlength=len(bins.counts))
        above += population_stability_index(bins.counts, list(actual)) > index_by_chance(
            len(bins.counts), 150, 100, 0.95
        )
    assert 1 <= above <= 30


def test_the_index_of_chance_is_that_of_the_table() -> None:
    # Chi-square's table: 16.919 at 0.95 and 27.877 at 0.999 with nine degrees of freedom.
    assert index_by_chance(10, 100, 50, 0.95) == pytest.approx(16.919 * 0.03, rel=1e-4)
    assert index_by_chance(10, 200, 200, 0.999) == pytest.approx(27.877 * 0.01, rel=1e-4)


def test_what_training_did_not_see_is_one_category() -> None:
    scanners = count_categories(["GE B", "Siemens A", "GE B"])
    assert (scanners.names, scanners.counts) == (("GE B", "Siemens A"), (2, 1))
    assert [scanners.place(name) for name in ("GE B", "Siemens A", "Doe^Jane", "")] == [0, 1, 2, 2]


@pytest.mark.parametrize(
    ("edges", "counts"), [((1.0, 1.0), (1, 1, 1)), ((2.0, 1.0), (1, 1, 1)), ((1.0,), (1,)), ((1.0,), (0, 0))]
)
def test_bins_that_are_none_are_refused(edges: tuple[float, ...], counts: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="edges"):
        Bins(edges=edges, counts=counts)
    with pytest.raises(ValueError, match="categories"):
        Categories(names=("a",), counts=counts[:1] if counts[0] == 0 else (*counts, 1))
