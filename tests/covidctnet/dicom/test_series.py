"""Which series of a study is taken, and the words that say why."""

import numpy as np
import pytest

from covidctnet.config import ReaderConfig
from covidctnet.dicom.headers import find_ct_slices
from covidctnet.dicom.series import choose_series, is_sharp
from covidctnet.errors import GeometryError, UnreadableFileError, UnsuitableSeriesError
from covidctnet.reading import read_volume
from tests.helpers.series import crude_chest, make_files, zip_of


def series(number: str, count: int = 20, **values: object) -> list[bytes]:
    def edit(dataset: object, index: int) -> None:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return make_files(crude_chest(count), series=number, edit=edit)


def chosen(*groups: list[bytes]) -> tuple[int, str, str]:
    """How many slices were taken, of which kernel, and why."""
    choice = choose_series(find_ct_slices([data for group in groups for data in group], ReaderConfig()), ReaderConfig())
    return len(choice.slices), str(choice.slices[0].dataset.ConvolutionKernel), choice.reason


def test_the_only_series_is_taken_and_described() -> None:
    assert chosen(series("1")) == (20, "B31s", "axial series of 20 slices of 10 mm, kernel B31s")


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (series("2", 24, ConvolutionKernel="B70f"), "it has the most slices"),
        (series("2", 20, ConvolutionKernel="B70f", SliceThickness="5"), "its slices are thinner"),
    ],
)
def test_more_slices_go_before_thinner_ones_and_these_before_the_kernel(other: list[bytes], reason: str) -> None:
    count, kernel, why = chosen(series("1"), other)
    assert (count, kernel) == (len(other), "B70f")
    assert f"taken from 2 because {reason}; others: 20 slices of 10 mm, kernel B31s" in why


def test_of_equal_series_the_softer_kernel_is_taken_whatever_came_first() -> None:
    sharp, soft = series("1", ConvolutionKernel="B70f"), series("2", ConvolutionKernel="B31f")
    for groups in ((sharp, soft), (soft, sharp)):
        count, kernel, why = chosen(*groups)
        assert (count, kernel) == (20, "B31f")
        assert "because its kernel is softer; others: 20 slices of 10 mm, kernel B70f" in why


def test_images_of_two_patients_are_refused_without_naming_them() -> None:
    with pytest.raises(UnsuitableSeriesError, match=r"^the images are of 2 patients; send the study of one$"):
        chosen(series("1", PatientID="DOE^JANE"), series("2", 24, PatientID="ROE^JOHN"))
    assert chosen(series("1", PatientID="DOE^JANE"), series("2", 24))[0] == 24


def test_a_patient_id_that_cannot_be_decoded_is_a_file_that_cannot_be_read() -> None:
    named = series("1", PatientID="ABCDEFGH")
    broken = named[3].replace(b"\x10\x00\x20\x00LO\x08\x00ABCDEFGH", b"\x10\x00\x20\x00FD\x07\x00ABCDEFG")
    assert broken != named[3]
    with pytest.raises(UnreadableFileError, match=r"^file 4 of 20 is malformed"):
        chosen([*named[:3], broken, *named[4:]])


def test_the_answer_tells_that_it_is_about_one_of_two_studies() -> None:
    files = series("1", StudyInstanceUID="1.2.826.0.1.3680043.1") + series("2", 24)
    warnings = read_volume(zip_of(files)).warnings
    assert "series of 2 studies were handed in, and the answer is about one of them" in warnings
    assert not any("studies" in text for text in read_volume(zip_of(series("1") + series("2", 24))).warnings)


@pytest.mark.parametrize(
    "kernel", ["B60s", "B70f", "Br59", "Bl57", "D60s", "LUNG", "BONEPLUS", "FC51", "YA", "L", "F60"]
)
def test_kernels_for_lung_and_bone_are_sharp(kernel: str) -> None:
    assert is_sharp(kernel)


@pytest.mark.parametrize(
    "kernel", ["B31s", "B41s", "D40s", "Br40", "STANDARD", "SOFT", "FC07", "FC13", "B", "A", "F20", ""]
)
def test_kernels_for_soft_tissue_are_not(kernel: str) -> None:
    assert not is_sharp(kernel)


@pytest.mark.parametrize(
    ("image_type", "words"),
    [
        (["ORIGINAL", "PRIMARY", "LOCALIZER"], "localizer"),
        (["DERIVED", "PRIMARY", "AXIAL"], "derived images"),
        (["ORIGINAL", "PRIMARY", "REFORMATTED"], "reformatted images"),
        (["ORIGINAL", "SECONDARY", "AXIAL"], "secondary capture"),
        (["ORIGINAL", "PRIMARY", "SCREEN SAVE"], "screen shots"),
    ],
)
def test_what_is_no_original_axial_image_is_passed_over_and_named(image_type: list[str], words: str) -> None:
    count, kernel, why = chosen(series("1", 40, ImageType=image_type, ConvolutionKernel="x"), series("2"))
    assert (count, kernel) == (20, "B31s")
    assert f"passed over 40 slices: {words}" in why


def test_a_localizer_inside_the_series_is_left_out() -> None:
    files = series("1")
    scout = series("1", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], ImageOrientationPatient=[1, 0, 0, 0, 0, -1])[:2]
    volume = read_volume(zip_of(scout + files))
    np.testing.assert_array_equal(volume.hu, crude_chest())
    assert "passed over 2 slices: localizer" in volume.series


@pytest.mark.parametrize("uid", ["", "0", "1.2.840", "none"])
def test_an_identifier_that_is_none_neither_merges_series_nor_loses_slices(uid: str) -> None:
    soft = series("1", SeriesInstanceUID=uid, SOPInstanceUID="")
    sharp = series("2", SeriesInstanceUID=uid, SOPInstanceUID="", ConvolutionKernel="B70f")
    mixed = [data for pair in zip(soft, sharp, strict=True) for data in pair]
    count, kernel, why = chosen(mixed)
    assert (count, kernel) == (20, "B31s")
    assert "others: 20 slices of 10 mm, kernel B70f" in why


def test_a_chest_scanned_in_two_breaths_stays_whole() -> None:
    def edit(dataset: object, index: int) -> None:
        dataset.SeriesInstanceUID, dataset.AcquisitionNumber = "", str(1 + index // 10)

    assert len(choose_series(find_ct_slices(make_files(edit=edit), ReaderConfig()), ReaderConfig()).slices) == 20


def test_two_series_under_one_identifier_are_refused_not_mixed() -> None:
    with pytest.raises(GeometryError, match="20 slices lie at the position of another"):
        read_volume(zip_of(series("1") + series("1", ConvolutionKernel="B70f")))


def test_rounding_of_the_orientation_does_not_split_a_series() -> None:
    def edit(dataset: object, index: int) -> None:
        dataset.ImageOrientationPatient = [1, 0.00499 + 0.00002 * (index % 2), 0, 0, 1, 0]

    assert read_volume(zip_of(make_files(edit=edit))).hu.shape[0] == 20


def test_a_study_without_a_series_says_why_each_was_passed_over() -> None:
    with pytest.raises(UnsuitableSeriesError) as caught:
        chosen(series("1", 5), series("2", 30, ImageType=["DERIVED", "PRIMARY", "MIP"]))
    assert "5 slices: fewer than 12" in str(caught.value)
    assert "30 slices: derived images" in str(caught.value)
