import numpy as np
import pytest

from covidctnet.config import load_profile
from covidctnet.distribution import (
    describe_outliers,
    hu_quantiles,
    input_statistics,
    out_of_distribution,
    ranges,
    study_statistics,
)

REFERENCE = {"mean intensity": (0.2, 0.4), "mean absolute residual": (0.01, 0.02)}


@pytest.mark.parametrize(
    ("intensity", "residual", "distance"),
    [(0.2, 0.02, 0.0), (0.3, 0.015, 0.0), (0.5, 0.015, 0.5), (0.1, 0.03, 1.0), (0.3, 0.0, 1.0)],
)
def test_the_farthest_statistic_counts_in_widths_of_its_range(
    intensity: float, residual: float, distance: float
) -> None:
    statistics = {"mean intensity": intensity, "mean absolute residual": residual}
    assert out_of_distribution(statistics, REFERENCE) == pytest.approx(distance)
    assert bool(describe_outliers(statistics, REFERENCE)) == (distance > 0)


def test_outliers_are_named_with_value_and_range() -> None:
    assert describe_outliers({"mean intensity": 0.5, "mean absolute residual": 0.01}, REFERENCE) == [
        "mean intensity 0.5000 is outside the training range 0.2000 to 0.4000"
    ]


def test_ranges_span_all_studies_and_one_study_has_a_width() -> None:
    assert ranges([{"a": 1.0}, {"a": 3.0}, {"a": 2.0}]) == {"a": (1.0, 3.0)}
    assert out_of_distribution({"a": 2.2}, ranges([{"a": 2.0}])) == pytest.approx(1.0)
    assert out_of_distribution({"a": 0.0}, ranges([{"a": 0.0}])) == 0.0


def test_statistics_move_with_what_they_measure() -> None:
    rng = np.random.default_rng(0)
    slices = rng.uniform(0, 1, (4, 16, 16)).astype(np.float32)
    residual = rng.normal(0, 0.01, slices.shape).astype(np.float32)
    plain = study_statistics(slices, residual)
    assert plain["mean intensity"] == pytest.approx(0.5, abs=0.05)
    assert plain["spread of intensity"] == pytest.approx(12**-0.5, abs=0.02)
    residual[:, :2] = -0.5
    marked = study_statistics(slices, residual)
    assert marked["strongest hundredth of the residual"] == pytest.approx(0.5)
    assert marked["mean absolute residual"] > 5 * plain["mean absolute residual"]
    assert marked["mean intensity"] == plain["mean intensity"]


def test_hu_quantiles_are_those_of_the_voxels() -> None:
    config = load_profile("smoke")
    slices = np.linspace(0, 1, 101, dtype=np.float32).reshape(1, 1, 101)
    found = hu_quantiles(slices, config)
    assert list(found) == [f"HU quantile {share:g}" for share in config.drift.hu_quantiles]
    assert found["HU quantile 0.5"] == -300.0
    assert found["HU quantile 0.05"] == -930.0
    assert hu_quantiles(slices + np.float32(1.4 / 1400), config) == found
    assert hu_quantiles(slices + np.float32(9.0 / 1400), config)["HU quantile 0.5"] == -290.0


def test_inputs_are_compared_by_intensity_residual_and_spacing() -> None:
    slices = np.full((2, 4, 4), 0.5, np.float32)
    found = input_statistics((2.0, 0.7, 0.8), slices, np.full_like(slices, 0.1), load_profile("smoke"))
    assert found["slice spacing mm"] == 2.0
    assert found["pixel spacing mm"] == 0.75
    assert found["mean absolute residual"] == pytest.approx(0.1)
    assert {name for name in found if name.startswith("HU quantile")} < found.keys()
