import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covidctnet.resize import resize, resize_axis


def ramp(size: int) -> np.ndarray:
    return ((np.arange(size) + 0.5) / size).astype(np.float32)


def test_enlarging_is_linear_with_half_pixel_centres_and_clamped_edges() -> None:
    enlarged = resize_axis(np.array([0, 1], np.float32), 0, 4)
    np.testing.assert_allclose(enlarged, [0, 0.25, 0.75, 1], atol=1e-7)


def test_halving_weighs_neighbours_by_a_triangle_of_twice_the_width() -> None:
    halved = resize_axis(np.array([0, 0, 0, 8, 0, 0, 0, 0], np.float32), 0, 4)
    # Distances of sample 3 from the centres 0.5, 2.5, 4.5 over the radius 2; weights sum to 2.
    np.testing.assert_allclose(halved, [0, 8 * 0.75 / 2, 8 * 0.25 / 2, 0], atol=1e-6)


def test_a_fine_grid_is_averaged_and_not_sampled() -> None:
    stripes = np.tile(np.array([0, 1], np.float32), 64)
    shrunk = resize_axis(stripes, 0, 16)
    np.testing.assert_allclose(shrunk[1:-1], 0.5, atol=1e-3)


@given(old=st.integers(1, 90), new=st.integers(1, 90), value=st.floats(-1000, 1000, width=32))
@settings(max_examples=60, deadline=None)
def test_a_constant_stays_itself(old: int, new: int, value: float) -> None:
    resized = resize_axis(np.full(old, value, np.float32), 0, new)
    assert resized.shape == (new,)
    np.testing.assert_allclose(resized, value, rtol=1e-5)


@given(old=st.integers(1, 60), new=st.integers(1, 60), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_values_stay_in_range_and_mirrored_input_gives_mirrored_output(old: int, new: int, seed: int) -> None:
    values = np.random.default_rng(seed).random(old).astype(np.float32)
    resized = resize_axis(values, 0, new)
    assert values.min() - 1e-6 <= resized.min()
    assert resized.max() <= values.max() + 1e-6
    np.testing.assert_allclose(resize_axis(values[::-1].copy(), 0, new)[::-1], resized, atol=1e-5)


@pytest.mark.parametrize(("old", "new"), [(40, 100), (100, 40)])
def test_positions_do_not_shift(old: int, new: int) -> None:
    # Half a sample would be 0.005 or more; a triangle cut into samples is off by a hundredth of that.
    inner = slice(5, -5)
    np.testing.assert_allclose(resize_axis(ramp(old), 0, new)[inner], ramp(new)[inner], atol=3e-4)


def test_all_axes_equal_one_axis_after_the_other() -> None:
    array = np.random.default_rng(0).random((6, 9, 14)).astype(np.float32)
    step_by_step = resize_axis(resize_axis(resize_axis(array, 2, 5), 1, 12), 0, 3)
    resized = resize(array, (3, 12, 5))
    assert resized.flags.c_contiguous
    np.testing.assert_allclose(resized, step_by_step, atol=1e-6)


def test_slices_are_resized_alike_whatever_their_number() -> None:
    slices = np.random.default_rng(1).random((5, 37, 41)).astype(np.float32)
    together = resize(slices, (5, 16, 16))
    assert together.tobytes() == np.stack([resize(part, (16, 16)) for part in slices]).tobytes()


def test_an_unchanged_size_returns_the_array_itself() -> None:
    array = np.random.default_rng(2).random((4, 5)).astype(np.float32)
    assert resize_axis(array, -1, 5) is array
    assert resize(array, (4, 5)) is array


def test_negative_axes_count_from_the_end() -> None:
    array = np.random.default_rng(3).random((4, 7)).astype(np.float32)
    np.testing.assert_array_equal(resize_axis(array, -1, 3), resize_axis(array, 1, 3))


def test_the_input_is_left_alone() -> None:
    array = np.random.default_rng(4).random((3, 8, 8)).astype(np.float32)
    before = array.copy()
    resize(array, (3, 4, 4))
    np.testing.assert_array_equal(array, before)


def test_what_cannot_be_resized_is_refused() -> None:
    with pytest.raises(ValueError, match="expected float32 values, not float64"):
        resize_axis(np.zeros(4), 0, 2)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="an axis of 4 samples to 0"):
        resize_axis(np.zeros(4, np.float32), 0, 0)
    with pytest.raises(ValueError, match="an axis of 0 samples to 3"):
        resize_axis(np.zeros((2, 0), np.float32), 1, 3)
    with pytest.raises(ValueError, match=r"cannot resize 2 axes \(4, 4\) to 1 axes \(2,\)"):
        resize(np.zeros((4, 4), np.float32), (2,))
