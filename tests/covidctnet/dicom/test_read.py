import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import FileDataset

from covidctnet.config import ReaderConfig
from covidctnet.errors import GeometryError, NoStudyFoundError, UnreadableFileError, UnsuitableSeriesError
from covidctnet.reading import read_volume
from tests.helpers.series import crude_chest, make_files, write_folder, zip_of


def set_everywhere(**values: object):
    def edit(dataset: FileDataset, index: int) -> None:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return edit


@pytest.mark.parametrize("form", ["zip bytes", "zip file", "folder", "shuffled zip"])
def test_every_form_of_a_study_gives_the_same_volume(form: str, tmp_path: Path) -> None:
    files = make_files()
    if form == "zip bytes":
        source: Path | bytes = zip_of(files)
    elif form == "zip file":
        source = tmp_path / "study"
        source.write_bytes(zip_of(files))
    elif form == "folder":
        source = write_folder(tmp_path, files)
    else:
        source = zip_of([files[index] for index in np.random.default_rng(0).permutation(len(files))])
    volume = read_volume(source)
    np.testing.assert_array_equal(volume.hu, crude_chest())
    assert volume.spacing_mm == pytest.approx((10.0, 6.0, 6.0))
    assert volume.origin_mm == pytest.approx((-100.0, -200.0, -300.0))
    assert str(volume.scanner) == "Siemens Test"
    assert volume.scanner.kernel == "B31s"


def test_prone_and_mirrored_images_are_turned_upright() -> None:
    hu = crude_chest()[:, ::-1, ::-1]

    def edit(dataset: FileDataset, index: int) -> None:
        dataset.ImageOrientationPatient = ["-1", "0", "0", "0", "-1", "0"]
        dataset.ImagePositionPatient = ["278", "178", f"{-300 + 10 * index}"]

    volume = read_volume(zip_of(make_files(hu, edit=edit)))
    np.testing.assert_array_equal(volume.hu, crude_chest())
    assert volume.origin_mm == pytest.approx((-100.0, -200.0, -300.0))


def test_each_slice_has_its_own_slope_and_intercept() -> None:
    def edit(dataset: FileDataset, index: int) -> None:
        if index % 2:
            stored = np.frombuffer(dataset.PixelData, "<i2").astype(np.int32)
            dataset.RescaleIntercept, dataset.RescaleSlope = "-1000", "2"
            dataset.PixelData = ((stored - 24) // 2).astype("<i2").tobytes()

    np.testing.assert_array_equal(read_volume(zip_of(make_files(edit=edit))).hu, crude_chest())


@pytest.mark.parametrize(("raw", "tag"), [(-2000, 63536), (-2000, None), (-2000, -2000), (-3024, None)])
def test_padding_becomes_air_whatever_its_sign_or_absence(raw: int, tag: int | None) -> None:
    def edit(dataset: FileDataset, index: int) -> None:
        stored = np.frombuffer(dataset.PixelData, "<i2").reshape(64, 64).copy()
        stored[:3] = raw
        dataset.PixelData = stored.tobytes()
        if tag is not None:
            dataset.add_new("PixelPaddingValue", "US" if tag > 0 else "SS", tag)

    volume = read_volume(zip_of(make_files(edit=edit)))
    assert set(np.unique(volume.hu[:, :3])) <= {-1024.0, -1000.0}
    np.testing.assert_array_equal(volume.hu[:, 3:], crude_chest()[:, 3:])


def test_overlay_bits_above_the_stored_ones_are_dropped() -> None:
    def edit(dataset: FileDataset, index: int) -> None:
        stored = np.frombuffer(dataset.PixelData, "<i2").astype(np.uint16) | 0xF000
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, 0
        dataset.PixelData = stored.astype("<u2").tobytes()

    np.testing.assert_array_equal(read_volume(zip_of(make_files(edit=edit))).hu, crude_chest())


def test_empty_and_malformed_uids_lose_no_slice() -> None:
    edit = set_everywhere(SOPInstanceUID="", SeriesInstanceUID="0e6f8b5c-not-a-uid", StudyInstanceUID="")
    assert len(read_volume(zip_of(make_files(edit=edit))).hu) == 20


def test_a_localizer_other_objects_and_junk_beside_are_passed_over() -> None:
    localizer = make_files(crude_chest()[:1], edit=set_everywhere(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    report = make_files(crude_chest()[:1], series="9", edit=set_everywhere(Modality="SR"))
    volume = read_volume(zip_of([b"read me", *localizer, *make_files(), *report, b""]))
    np.testing.assert_array_equal(volume.hu, crude_chest())


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"ImageType": ["DERIVED", "SECONDARY", "MPR"]}, UnsuitableSeriesError, "20 slices: derived images"),
        ({"NumberOfFrames": "20"}, UnsuitableSeriesError, "file 1 of 20 holds 20 frames without"),
        ({"Modality": "MR"}, NoStudyFoundError, "none of the 20 DICOM objects is a CT image"),
        ({"GantryDetectorTilt": "-12.5"}, GeometryError, r"tilted by 12\.5 degrees"),
        ({"ImageOrientationPatient": ["1", "0", "0", "0", "0.966", "-0.259"]}, GeometryError, r"tilted by 15\.0"),
        ({"ImageOrientationPatient": ["1", "0", "0", "0", "0", "-1"]}, GeometryError, "not axial"),
        ({"ImageOrientationPatient": [".7071", ".7071", "0", "-.7071", ".7071", "0"]}, GeometryError, "turned by 45"),
        ({"ImageOrientationPatient": ["1", "0", "0", "1", "0", "0"]}, GeometryError, "at right angles"),
        ({"ImageOrientationPatient": None}, GeometryError, "orientation of file 1 of 20 is missing"),
        ({"ImagePositionPatient": None}, GeometryError, "position of file 1 of 20 is missing"),
        ({"PixelSpacing": None}, GeometryError, "pixel spacing is missing"),
        ({"RescaleSlope": None}, UnreadableFileError, "no rescale slope"),
        ({"SamplesPerPixel": 3}, UnreadableFileError, "colour image"),
        ({"BitsAllocated": 12}, UnreadableFileError, "BitsAllocated 12; 8, 16 or 32"),
        ({"Rows": 4000}, UnreadableFileError, "Rows 4000, which is not between 1 and 2048"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_the_value_seen(
    values: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_volume(zip_of(make_files(edit=set_everywhere(**values))))


def test_mixed_sizes_are_refused() -> None:
    def edit(dataset: FileDataset, index: int) -> None:
        if index == 7:
            dataset.Rows, dataset.Columns = 32, 128

    with pytest.raises(GeometryError, match="differ in Rows: 32 and 64"):
        read_volume(zip_of(make_files(edit=edit)))


@pytest.mark.parametrize(
    ("position", "message"),
    [
        (lambda z: z if z != 50 else 40, "1 slices lie at the position of another"),
        (lambda z: z if z < 50 else z + 10, "a gap of 20.0 mm where the spacing is 10.0 mm"),
        (lambda z: z if z < 50 else z + 2, "unevenly spaced: from 10.00 to 12.00 mm"),
        (lambda z: 2 * z, "20.0 mm apart, more than 12 mm"),
    ],
)
def test_irregular_positions_are_refused(position, message: str) -> None:
    def edit(dataset: FileDataset, index: int) -> None:
        dataset.ImagePositionPatient = ["-100", "-200", str(position(10 * index))]

    with pytest.raises(GeometryError, match=message):
        read_volume(zip_of(make_files(edit=edit)))


def test_slices_that_move_sideways_are_refused() -> None:
    def edit(dataset: FileDataset, index: int) -> None:
        dataset.ImagePositionPatient = ["-100", str(-200 + 3 * index), str(10 * index)]

    with pytest.raises(GeometryError, match=r"shifted sideways by 3\.0 mm a step"):
        read_volume(zip_of(make_files(edit=edit)))


def test_too_few_slices_are_refused() -> None:
    with pytest.raises(UnsuitableSeriesError, match="5 slices: fewer than 12"):
        read_volume(zip_of(make_files(crude_chest()[:5])))


@pytest.mark.parametrize("kept", [200, 700, 3000])
def test_a_truncated_file_refuses_the_study_and_is_named_by_place(kept: int) -> None:
    files = make_files()
    files[3] = files[3][:kept]
    with pytest.raises(UnreadableFileError, match="file 4 of 20"):
        read_volume(zip_of(files))


def test_a_single_truncated_file_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "one.dcm"
    path.write_bytes(make_files()[0][:900])
    with pytest.raises(UnreadableFileError, match="file 1 of 1 is cut off"):
        read_volume(path)


def test_inputs_without_a_study_each_have_their_own_message(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text("not an image")
    with pytest.raises(NoStudyFoundError, match="none of the 3 files is DICOM"):
        read_volume(tmp_path)
    with pytest.raises(NoStudyFoundError, match="the input is empty"):
        read_volume(zip_of([]))
    with pytest.raises(NoStudyFoundError, match="no such file or folder"):
        read_volume(tmp_path / "absent")
    with pytest.raises(UnreadableFileError, match="the zip cannot be read"):
        read_volume(zip_of(make_files())[:5000])


def test_an_encrypted_zip_is_refused() -> None:
    data = bytearray(zip_of(make_files()))
    data[6] |= 1
    central = data.find(b"PK\x01\x02")
    data[central + 8] |= 1
    with pytest.raises(UnreadableFileError, match="file 1 of 20 in the zip is encrypted"):
        read_volume(bytes(data))


def test_a_damaged_zip_entry_is_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", make_files()[0])
    data = bytearray(buffer.getvalue())
    data[60:90] = b"\xff" * 30
    with pytest.raises(UnreadableFileError, match="zip"):
        read_volume(bytes(data))


def test_more_bytes_than_allowed_are_refused(tmp_path: Path) -> None:
    config = ReaderConfig(max_bytes=1_000_000)
    big = zip_of([b"\0" * 600_000, b"\0" * 600_000])
    with pytest.raises(UnreadableFileError, match="larger than"):
        read_volume(big, config)
    with pytest.raises(UnreadableFileError, match="larger than"):
        read_volume(write_folder(tmp_path, [b"\0" * 600_000, b"\0" * 600_000]), config)
