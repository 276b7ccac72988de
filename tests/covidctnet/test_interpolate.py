import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray

from covidctnet.interpolate import resample_linearly


def noise(shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def all_slices(volume: NDArray[np.float32], shape: tuple[int, int, int]) -> NDArray[np.float32]:
    slice_at = resample_linearly(volume, shape)
    return np.stack([slice_at(number) for number in range(shape[0])])


@pytest.mark.parametrize("shape", [(20, 13, 40), (3, 30, 7), (7, 16, 19), (1, 1, 1), (14, 16, 5)])
def test_it_is_trilinear_interpolation_as_itk_does_it(shape: tuple[int, int, int]) -> None:
    volume = noise((7, 16, 19))
    resampler = sitk.ResampleImageFilter()
    steps = [old / new for old, new in zip(volume.shape, shape, strict=True)][::-1]
    resampler.SetSize(shape[::-1])
    resampler.SetOutputSpacing(steps)
    resampler.SetOutputOrigin([step / 2 - 0.5 for step in steps])
    resampler.SetInterpolator(sitk.sitkLinear)
    resampler.UseNearestNeighborExtrapolatorOn()
    expected = sitk.GetArrayFromImage(resampler.Execute(sitk.GetImageFromArray(volume)))
    answer = all_slices(volume, shape)
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, expected, rtol=0, atol=1e-5)


def test_the_same_size_gives_the_same_values() -> None:
    volume = noise((4, 6, 5))
    np.testing.assert_array_equal(all_slices(volume, (4, 6, 5)), volume)


def test_no_value_leaves_the_range_of_its_neighbours() -> None:
    volume = noise((5, 9, 8))
    finer = all_slices(volume, (17, 31, 23))
    assert volume.min() <= finer.min() < finer.max() <= volume.max()
