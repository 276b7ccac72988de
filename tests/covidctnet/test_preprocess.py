from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray

from covidctnet.config import PreprocessConfig
from covidctnet.errors import GeometryError, ImplausibleImageError
from covidctnet.preprocess import normalise, preprocess, preprocess_mask, resample, resampled_shape
from covidctnet.volume import Volume

SMALL = PreprocessConfig(slice_size=(16, 16))


@pytest.fixture
def threads() -> Iterator[None]:
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    yield
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def noise(shape: tuple[int, int, int], seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(-400, 500, shape).astype(np.float32)


def test_slices_are_float32_from_0_to_1_with_the_configured_spacing_and_size() -> None:
    volume = Volume(hu=noise((9, 40, 50)), spacing_mm=(2.5, 0.8, 0.6))
    slices = preprocess(volume, PreprocessConfig(slice_size=(16, 24)))
    assert slices.shape == (22, 16, 24)
    assert slices.dtype == np.float32
    assert 0 <= slices.min() < slices.max() <= 1


@pytest.mark.parametrize("interpolation", ["linear", "bspline"])
def test_the_number_of_threads_does_not_change_a_bit(
    interpolation: str, threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = PreprocessConfig(interpolation=interpolation, slice_size=(32, 32))  # type: ignore[arg-type]
    volume = Volume(hu=noise((14, 61, 67)), spacing_mm=(1.7, 0.83, 0.79))
    answers = []
    for count in (1, 2, 5):
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(count)
        monkeypatch.setattr("covidctnet.parallel.usable_cores", lambda count=count: count)
        answers.append(preprocess(volume, config).tobytes())
    assert len(set(answers)) == 1


def test_the_volume_is_left_alone() -> None:
    hu = noise((4, 20, 20))
    before = hu.copy()
    preprocess(Volume(hu=hu, spacing_mm=(1.0, 1.0, 1.0)), replace(SMALL, range_handling="air"))
    np.testing.assert_array_equal(hu, before)


@pytest.mark.parametrize("interpolation", ["linear", "bspline"])
def test_no_border_appears(interpolation: str) -> None:
    even = np.full((5, 17, 19), -300, np.float32)
    resampled = resample(even, (2.3, 0.7, 0.9), (1.0, 1.0, 1.0), interpolation=interpolation)
    assert resampled.shape == (12, 12, 17)
    np.testing.assert_allclose(resampled, -300, atol=1e-2)


def test_linear_resampling_keeps_the_outer_faces_in_place() -> None:
    profile = np.array([0, 10, 20, 30], np.float32)[:, None, None] * np.ones((1, 3, 3), np.float32)
    finer = resample(profile, (2.0, 1.0, 1.0), (1.0, 1.0, 1.0), interpolation="linear")[:, 1, 1]
    np.testing.assert_allclose(finer, [0, 2.5, 7.5, 12.5, 17.5, 22.5, 27.5, 30], atol=1e-4)


def test_spline_and_linear_resampling_agree_where_the_image_is_smooth() -> None:
    z, y, x = np.meshgrid(*(np.linspace(0, 3, count) for count in (30, 40, 40)), indexing="ij")
    smooth = (300 * np.sin(z) * np.cos(y) * np.sin(x)).astype(np.float32)
    linear, spline = (
        resample(smooth, (2.0, 0.8, 0.8), (1.0, 1.0, 1.0), interpolation=name) for name in ("linear", "bspline")
    )
    np.testing.assert_allclose(spline[3:-3, 3:-3, 3:-3], linear[3:-3, 3:-3, 3:-3], atol=2.0)


def test_each_axis_uses_its_own_spacing() -> None:
    assert resampled_shape((10, 20, 30), (3.0, 0.5, 2.0), (1.0, 1.0, 1.0)) == (30, 10, 60)
    assert resampled_shape((10, 20, 30), (1.0, 1.0, 1.0), (50.0, 4.0, 3.0)) == (1, 5, 10)
    assert resample(noise((10, 20, 30)), (3.0, 0.5, 2.0), (1.0, 1.0, 1.0), interpolation="linear").shape == (
        30,
        10,
        60,
    )


def test_a_point_stays_where_it_is_in_the_slices() -> None:
    hu = np.full((20, 64, 96), -1000, np.float32)
    hu[14, 16, 72] = 400
    slices = preprocess(Volume(hu=hu, spacing_mm=(1.0, 1.0, 1.0)), PreprocessConfig(slice_size=(32, 32)))
    z, y, x = np.unravel_index(slices.argmax(), slices.shape)
    assert (z, y) == (14, 8)
    assert x in (23, 24)


def test_clipping_keeps_bone_bright_and_air_handling_turns_it_dark() -> None:
    hu = np.array([[[-2000, -1000, -300, 400, 400.5, 3000]]], np.float32)
    clipped = normalise(hu, PreprocessConfig(range_handling="clip"))
    aired = normalise(hu, PreprocessConfig(range_handling="air"))
    np.testing.assert_allclose(clipped[0, 0], [0, 0, 0.5, 1, 1, 1], atol=1e-6)
    np.testing.assert_allclose(aired[0, 0], [0, 0, 0.5, 1, 0, 0], atol=1e-6)


def test_air_handling_follows_resampling_and_precedes_the_slices_resizing() -> None:
    hu = np.full((3, 32, 32), -300, np.float32)
    hu[:, 16:] = 2000
    aired = preprocess(Volume(hu=hu, spacing_mm=(1.0, 1.0, 1.0)), replace(SMALL, range_handling="air"))
    assert aired.max() <= 0.5 + 1e-6
    np.testing.assert_allclose(aired[:, :6], 0.5, atol=1e-6)
    assert not aired[:, 10:].any()


def test_a_spline_that_overshoots_stays_between_0_and_1() -> None:
    hu = np.full((6, 24, 24), -1000, np.float32)
    hu[:, 8:16, 8:16] = 400
    config = replace(SMALL, interpolation="bspline")
    sharp = resample(hu, (2.0, 1.3, 1.3), config.spacing_mm, interpolation="bspline")
    assert sharp.min() < -1050
    assert sharp.max() > 450
    slices = preprocess(Volume(hu=hu, spacing_mm=(2.0, 1.3, 1.3)), config)
    assert slices.min() == 0
    assert 0.95 < slices.max() <= 1


def test_a_mask_lies_on_the_grid_of_its_volume() -> None:
    mask = np.zeros((12, 50, 60), bool)
    mask[3:9, 10:30, 20:50] = True
    spacing = (2.0, 1.1, 0.7)
    volume = Volume(hu=np.where(mask, 400, -1000).astype(np.float32), spacing_mm=spacing)
    inside = preprocess_mask(mask, spacing, PreprocessConfig(slice_size=(32, 32)))
    assert inside.dtype == np.bool_
    slices = preprocess(volume, PreprocessConfig(slice_size=(32, 32)))
    np.testing.assert_array_equal(inside, slices >= 0.5)
    assert inside.mean() == pytest.approx(mask.mean(), rel=0.1)


@pytest.mark.parametrize("value", [True, False])
def test_a_uniform_mask_stays_uniform_even_with_spline_interpolation(value: bool) -> None:
    mask = np.full((4, 20, 20), value)
    assert (preprocess_mask(mask, (2.3, 0.9, 0.9), replace(SMALL, interpolation="bspline")) == value).all()


def test_values_that_are_no_numbers_are_refused_with_their_count() -> None:
    hu = noise((3, 20, 20))
    hu[1, 4, 5], hu[2, 0, 0] = np.nan, np.inf
    with pytest.raises(ImplausibleImageError, match="2 voxels hold no finite"):
        preprocess(Volume(hu=hu, spacing_mm=(1.0, 1.0, 1.0)), SMALL)


def test_a_spacing_that_would_fill_the_memory_is_refused_before_it_does() -> None:
    volume = Volume(hu=noise((4, 20, 20)), spacing_mm=(1000.0, 50.0, 50.0))
    with pytest.raises(GeometryError, match=r"would become \(4000, 1000, 1000\)"):
        preprocess(volume, SMALL)


def test_a_mask_without_three_axes_is_refused() -> None:
    with pytest.raises(GeometryError, match=r"expected axes \(z, y, x\), not an array of shape \(8, 8\)"):
        preprocess_mask(np.zeros((8, 8), bool), (1.0, 1.0, 1.0), SMALL)


@pytest.mark.real_data
def test_a_real_scan_resampled_by_itk_shows_lung_between_air_and_soft_tissue(shared_data: Path) -> None:
    image = sitk.ReadImage(str(shared_data / "other" / "lung1_image.nrrd"), sitk.sitkFloat32)
    x, y, z = image.GetSpacing()
    volume = Volume(hu=sitk.GetArrayFromImage(image), spacing_mm=(z, y, x))
    slices = preprocess(volume, PreprocessConfig())
    assert slices.shape == (round(volume.extent_mm[0]), 128, 128)
    lung, soft = ((slices > 0.05) & (slices < 0.36)).mean(), ((slices > 0.6) & (slices < 0.85)).mean()
    assert lung > 0.05
    assert soft > 0.1
