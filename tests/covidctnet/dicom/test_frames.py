import io

import numpy as np
import pydicom
import pytest

from covidctnet.errors import StudyError, UnreadableFileError, UnsuitableSeriesError
from covidctnet.reading import read_volume
from tests.helpers.enhanced import make_enhanced
from tests.helpers.series import crude_chest, make_files


def as_bytes(dataset: pydicom.Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def edited(data: bytes, **values: object) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(data))
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return as_bytes(dataset)


@pytest.mark.parametrize("rle", [False, True])
def test_an_enhanced_object_gives_the_volume_of_its_single_images(rle: bool) -> None:
    order = np.random.default_rng(0).permutation(20)
    files = make_files()
    volume = read_volume(make_enhanced([files[index] for index in order], rle=rle))
    np.testing.assert_array_equal(volume.hu, crude_chest())
    assert volume.spacing_mm == pytest.approx((10.0, 6.0, 6.0))
    assert volume.origin_mm == pytest.approx((-100.0, -200.0, -300.0))
    assert (volume.scanner.kernel, volume.scanner.slice_thickness_mm) == ("B31s", 10.0)


def test_each_frame_has_its_own_slope_and_intercept() -> None:
    def edit(dataset: pydicom.Dataset, index: int) -> None:
        if index % 2:
            stored = np.frombuffer(dataset.PixelData, "<i2")
            dataset.RescaleIntercept = "-1000"
            dataset.PixelData = (stored - 24).astype("<i2").tobytes()

    np.testing.assert_array_equal(read_volume(make_enhanced(make_files(edit=edit))).hu, crude_chest())


def test_derived_frames_are_refused() -> None:
    def edit(dataset: pydicom.Dataset, index: int) -> None:
        dataset.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "MIP"]

    with pytest.raises(UnsuitableSeriesError, match="derived images"):
        read_volume(make_enhanced(make_files(edit=edit)))


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (21, "claims 21 frames and describes 20"),
        (19, "claims 19 frames and describes 20"),
        (3_000_000, "claims 3000000 frames, not 1 to 3000"),
    ],
)
def test_frames_that_do_not_add_up_are_refused(frames: int, message: str) -> None:
    with pytest.raises(UnreadableFileError, match=message):
        read_volume(edited(make_enhanced(make_files()), NumberOfFrames=frames))


def test_missing_pixels_are_refused() -> None:
    whole = make_enhanced(make_files())
    cut = pydicom.dcmread(io.BytesIO(whole)).PixelData[: 64 * 64 * 2 * 19]
    with pytest.raises(UnreadableFileError, match="claims 20 frames and holds 19"):
        read_volume(edited(whole, PixelData=cut))


def test_frames_without_positions_are_refused() -> None:
    whole = pydicom.dcmread(io.BytesIO(make_enhanced(make_files())))
    del whole.PerFrameFunctionalGroupsSequence
    with pytest.raises(StudyError, match="holds 20 frames without their positions"):
        read_volume(as_bytes(whole))
