"""What stored values mean: photometric interpretation, rescaling, compression with loss."""

import numpy as np
import pytest
from pydicom.dataset import FileDataset

from covidctnet.errors import UnreadableFileError
from covidctnet.reading import read_volume
from tests.helpers.series import crude_chest, make_files, zip_of


def test_monochrome1_is_a_wish_for_display_and_changes_no_value() -> None:
    def edit(dataset: FileDataset, index: int) -> None:
        dataset.PhotometricInterpretation = "MONOCHROME1"

    np.testing.assert_array_equal(read_volume(zip_of(make_files(edit=edit))).hu, crude_chest())


def test_inverted_values_with_a_negative_slope_are_turned_back() -> None:
    def edit(dataset: FileDataset, index: int) -> None:
        stored = np.frombuffer(dataset.PixelData, "<i2")
        dataset.PhotometricInterpretation = "MONOCHROME1"
        dataset.RescaleSlope, dataset.RescaleIntercept = "-1", "3071"
        dataset.PixelData = (4095 - stored).astype("<i2").tobytes()

    np.testing.assert_array_equal(read_volume(zip_of(make_files(edit=edit))).hu, crude_chest())


def test_a_palette_is_colour() -> None:
    def edit(dataset: FileDataset, index: int) -> None:
        dataset.PhotometricInterpretation = "PALETTE COLOR"

    with pytest.raises(UnreadableFileError, match="file 1 of 20 is a colour image"):
        read_volume(zip_of(make_files(edit=edit)))


@pytest.mark.parametrize(
    ("unit", "named"),
    [("HU", ""), ("US", ""), ("Z_EFF", "holds Z_EFF by"), ("Jane Doe 1950", "holds another quantity by")],
)
def test_only_hounsfield_units_are_taken_for_them(unit: str, named: str) -> None:
    def edit(dataset: FileDataset, index: int) -> None:
        dataset.RescaleType = unit

    data = zip_of(make_files(edit=edit))
    if named:
        with pytest.raises(UnreadableFileError, match=named):
            read_volume(data)
    else:
        np.testing.assert_array_equal(read_volume(data).hu, crude_chest())


def test_compression_with_loss_is_a_warning() -> None:
    def edit(dataset: FileDataset, index: int) -> None:
        dataset.LossyImageCompression = "01" if index == 3 else "00"

    assert "the images were compressed with loss: fine structures may be gone" in (
        read_volume(zip_of(make_files(edit=edit))).warnings
    )
    assert not any("loss" in warning for warning in read_volume(zip_of(make_files())).warnings)
