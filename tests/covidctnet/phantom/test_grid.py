import numpy as np
import pytest

from covidctnet.phantom.grid import Grid, cosine, smooth_field, soften

GRID = Grid(slices=60, matrix=128, slice_spacing_mm=4.0, pixel_spacing_mm=2.5, bottom_mm=0.0)


def test_the_cosine_is_one() -> None:
    turns = np.linspace(-4.0, 4.0, 20_001)
    np.testing.assert_allclose(cosine(turns), np.cos(2 * np.pi * turns), atol=1e-5)


@pytest.mark.parametrize("wavelength", [14.0, 40.0, 130.0])
def test_a_smooth_field_has_unit_spread(wavelength: float) -> None:
    spreads = [smooth_field(GRID, np.random.default_rng(seed), wavelength).std() for seed in range(5)]
    assert 0.8 < np.mean(spreads) < 1.2


def test_a_longer_wavelength_gives_a_smoother_field() -> None:
    steps = [
        np.abs(np.diff(smooth_field(GRID, np.random.default_rng(1), wavelength), axis=2)).mean()
        for wavelength in (14.0, 40.0, 130.0)
    ]
    assert steps[0] > 2 * steps[1] > 4 * steps[2]


def test_a_window_is_about_a_part_of_the_whole_field() -> None:
    window = (slice(3, 30), slice(10, 90), slice(5, 50))
    whole = smooth_field(GRID, np.random.default_rng(0), 60.0)
    part = smooth_field(GRID, np.random.default_rng(0), 60.0, window=window)
    # Lattices that start elsewhere are interpolated differently.
    assert np.abs(part - whole[window]).mean() < 0.1


def test_softening_adds_its_variance_and_keeps_the_sum() -> None:
    values = np.zeros((3, 41, 3))
    values[1, 20, 1] = 1.0
    for variance in (0.2, 0.5, 1.3, 2.4):
        soft = soften(values, variance, 1)[1, :, 1]
        places = np.arange(41) - 20
        assert soft.sum() == pytest.approx(1.0)
        assert (soft * places**2).sum() == pytest.approx(variance)
    np.testing.assert_array_equal(soften(values, 0.0, 1), values)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_softening_leaves_what_is_even_to_the_border(axis: int) -> None:
    np.testing.assert_allclose(soften(np.full((5, 6, 7), -860.0), 1.7, axis), -860.0)
