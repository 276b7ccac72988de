import numpy as np
import pytest

from covidctnet.config import EvaluationConfig
from covidctnet.errors import CohortError, ConfigError, GeometryError
from covidctnet.evaluation.residual_contrast import (
    RegionMeans,
    blur_residual,
    mean_lung_residual,
    region_means,
    summarise_contrast,
)

CONFIG = EvaluationConfig(bootstrap_samples=200)


def masks() -> tuple[np.ndarray, np.ndarray]:
    lung, infection = np.zeros((2, 4, 4), bool), np.zeros((2, 4, 4), bool)
    lung[:, 1:3, 1:3] = True
    infection[0, 1, 1:3] = True
    return lung, infection


def test_means_are_of_magnitudes_inside_infection_and_in_the_lung_without_it() -> None:
    lung, infection = masks()
    residual = np.full((2, 4, 4), 9.0, np.float32)
    residual[lung] = -0.1
    residual[infection] = [0.4, -0.2]
    means = region_means(residual, lung, infection, label=1)
    assert means.infection == pytest.approx(0.3)
    assert means.healthy == pytest.approx(0.1)


def test_infection_outside_the_lung_mask_counts_as_infection_only() -> None:
    lung, infection = masks()
    lung[infection] = False
    residual = np.where(infection, 0.5, 0.25).astype(np.float32)
    means = region_means(residual, lung, infection, label=2)
    assert (means.infection, means.healthy) == (0.5, 0.25)


def test_empty_regions_have_no_mean() -> None:
    lung, infection = masks()
    means = region_means(np.ones((2, 4, 4), np.float32), lung & False, infection & False, label=0)
    assert (means.infection, means.healthy) == (None, None)


def test_contradictions_are_refused() -> None:
    lung, infection = masks()
    residual = np.ones((2, 4, 4), np.float32)
    with pytest.raises(CohortError, match="a Control has 2 voxels of infection"):
        region_means(residual, lung, infection, label=0)
    with pytest.raises(GeometryError, match=r"\(1, 4, 4\)"):
        region_means(residual, lung[:1], infection, label=1)
    with pytest.raises(GeometryError, match="not finite"):
        region_means(residual * np.nan, lung, infection, label=1)


def test_blur_leaves_flat_slices_alone_and_does_not_reach_other_slices() -> None:
    slices = np.full((3, 16, 16), 0.3, np.float32)
    assert blur_residual(slices, 2.0) == pytest.approx(np.zeros_like(slices), abs=1e-6)
    slices[1, 8, 8] = 1.0
    residual = blur_residual(slices, 2.0)
    assert residual.dtype == np.float32
    assert residual[1, 8, 8] > 0.5
    assert residual[[0, 2]] == pytest.approx(np.zeros((2, 16, 16)), abs=1e-6)
    with pytest.raises(ConfigError, match="positive sigma, not 0"):
        blur_residual(slices, 0)


def test_mean_lung_is_subtracted_everywhere() -> None:
    residual = mean_lung_residual(np.array([[[0.1, 0.5]]], np.float32), 0.2)
    assert residual.ravel().tolist() == pytest.approx([-0.1, 0.3])
    assert residual.dtype == np.float32


def test_summary_holds_means_over_patients_and_their_ratios() -> None:
    cases = [
        RegionMeans(label=1, infection=0.2, healthy=0.1),
        RegionMeans(label=2, infection=0.4, healthy=0.1),
        RegionMeans(label=0, infection=None, healthy=0.03),
    ]
    (summary,) = summarise_contrast({"denoiser": cases}, config=CONFIG, seed=0)
    assert (summary.infected_patients, summary.control_patients) == (2, 1)
    assert summary.infection == pytest.approx(0.3)
    assert summary.infection_to_healthy.value == pytest.approx(3.0)
    assert summary.control_to_infection.value == pytest.approx(0.1)
    low, high = summary.infection_to_healthy.low, summary.infection_to_healthy.high
    assert (low, high) == (pytest.approx(2.0), pytest.approx(4.0))
    # One Control cannot be resampled.
    assert summary.control_to_infection.low is None


def test_several_cases_of_a_patient_count_as_one_patient() -> None:
    cases = [
        RegionMeans(label=1, infection=0.1, healthy=0.1, patient="a"),
        RegionMeans(label=1, infection=0.3, healthy=0.1, patient="a"),
        RegionMeans(label=1, infection=0.6, healthy=0.1, patient="b"),
    ]
    (summary,) = summarise_contrast({"denoiser": cases}, config=CONFIG, seed=0)
    assert summary.infected_patients == 2
    assert summary.infection == pytest.approx((0.2 + 0.6) / 2)


def test_without_controls_infections_or_residual_there_are_no_ratios() -> None:
    sick = RegionMeans(label=1, infection=0.2, healthy=0.0)
    control = RegionMeans(label=0, infection=None, healthy=0.1)
    only_sick, only_control = (summarise_contrast({"m": [case]}, config=CONFIG, seed=0)[0] for case in (sick, control))
    assert only_sick.control is None
    assert only_sick.infection_to_healthy.value is None
    assert only_control.infection is None
    assert only_control.control_to_infection.value is None


def test_methods_keep_their_order_and_are_summarised_deterministically() -> None:
    rng = np.random.default_rng(0)
    regions = {
        name: [RegionMeans(label=1, infection=float(rng.uniform(0.2, 0.4)), healthy=0.1) for _ in range(8)]
        for name in ("denoiser", "mean lung")
    }
    first = summarise_contrast(regions, config=CONFIG, seed=4)
    assert [summary.method for summary in first] == ["denoiser", "mean lung"]
    assert first == summarise_contrast(regions, config=CONFIG, seed=4)
    with pytest.raises(CohortError, match="unequal numbers of cases"):
        summarise_contrast({"a": regions["denoiser"], "b": []}, config=CONFIG, seed=4)
