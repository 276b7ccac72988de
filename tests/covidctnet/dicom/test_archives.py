"""The ways in which hospitals and archives lay out a study."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.fileset import FileSet

from covidctnet.config import ReaderConfig
from covidctnet.dicom.sources import read_files
from covidctnet.errors import GeometryError, NoStudyFoundError, UnreadableFileError
from covidctnet.reading import read_volume
from tests.helpers.series import crude_chest, make_files, zip_of


@pytest.fixture
def file_set() -> Iterator[FileSet]:
    made = FileSet()
    yield made
    made._stage["t"].cleanup()


def test_a_file_set_with_its_dicomdir_reads_as_a_folder_and_as_a_zip(file_set: FileSet, tmp_path: Path) -> None:
    for data in make_files():
        dataset = pydicom.dcmread(io.BytesIO(data))
        dataset.PatientID, dataset.PatientName, dataset.StudyID = "7", "A^B", "1"
        dataset.StudyDate, dataset.StudyTime, dataset.SeriesNumber, dataset.InstanceNumber = "20200101", "1200", 1, 1
        file_set.add(dataset)
    file_set.write(tmp_path / "disc")
    assert (tmp_path / "disc" / "DICOMDIR").is_file()
    np.testing.assert_array_equal(read_volume(tmp_path / "disc").hu, crude_chest())
    with zipfile.ZipFile(tmp_path / "disc.zip", "w") as archive:
        for path in (tmp_path / "disc").rglob("*"):
            archive.write(path, path.relative_to(tmp_path))
    np.testing.assert_array_equal(read_volume(tmp_path / "disc.zip").hu, crude_chest())


def test_a_dicomdir_alone_is_no_study(file_set: FileSet, tmp_path: Path) -> None:
    file_set.write(tmp_path)
    with pytest.raises(NoStudyFoundError, match="none of the 1 DICOM objects is a CT image"):
        read_volume(tmp_path)


def test_a_study_deep_in_folders_among_thousands_of_other_files_is_found(tmp_path: Path) -> None:
    for number in range(3000):
        folder = tmp_path / f"disc{number % 30}" / "viewer" / "lib"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.dll").write_bytes(b"MZ" + number.to_bytes(2, "little") * 40)
    for number, data in enumerate(make_files()):
        folder = tmp_path.joinpath(*"abcdefghij", str(number))
        folder.mkdir(parents=True)
        (folder / "IM").write_bytes(data)
    np.testing.assert_array_equal(read_volume(tmp_path).hu, crude_chest())


def test_a_series_of_more_than_a_thousand_slices_reads_in_order() -> None:
    hu = np.repeat(crude_chest(), 60, axis=0)
    hu[:, 0, 0] = np.arange(len(hu)) - 1000
    volume = read_volume(zip_of(make_files(hu, spacing=0.25)[::-1]))
    np.testing.assert_array_equal(volume.hu[:, 0, 0], np.arange(1200) - 1000)
    assert volume.spacing_mm[0] == pytest.approx(0.25, abs=1e-3)


def test_more_files_than_allowed_are_refused() -> None:
    with pytest.raises(UnreadableFileError, match=r"more than 19 files \(reader.max_files\)"):
        read_files(zip_of(make_files()), ReaderConfig(max_files=19))


def test_more_voxels_than_allowed_are_refused_before_they_are_decoded() -> None:
    hu = np.repeat(np.repeat(crude_chest(), 8, axis=1), 8, axis=2)
    with pytest.raises(GeometryError, match=r"20 x 512 x 512 voxels are more than 5000000 \(reader.max_voxels\)"):
        read_volume(zip_of(make_files(hu, pixel=0.75)), ReaderConfig(max_voxels=5_000_000))


def test_a_zip_inside_a_zip_is_not_followed() -> None:
    inner = zip_of(make_files())
    with pytest.raises(NoStudyFoundError, match="none of the 1 files is DICOM"):
        read_volume(zip_of([inner]))


def test_a_file_that_cannot_be_read_is_refused_without_its_name(tmp_path: Path) -> None:
    # Nobody may read the start of a process's memory.
    (tmp_path / "Doe^Jane").symlink_to("/proc/self/mem")
    with pytest.raises(UnreadableFileError, match=r"^file 1 cannot be read \(OSError\); check its permissions$"):
        read_volume(tmp_path)


def nested(depth: int) -> bytes:
    """A sequence in a sequence, of undefined lengths, as an element of explicit VR."""
    opened = b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    closed = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    return opened * depth + closed * depth


@pytest.mark.parametrize("depth", [3, 100_000])
def test_sequences_nested_without_end_are_refused_and_a_few_are_not(depth: int) -> None:
    files = make_files()
    place = files[7].index(b"\x28\x00\x02\x00US")
    files[7] = files[7][:place] + nested(depth) + files[7][place:]
    if depth == 3:
        np.testing.assert_array_equal(read_volume(zip_of(files)).hu, crude_chest())
    else:
        with pytest.raises(UnreadableFileError, match=r"file 8 of 20 is (cut off or )?malformed"):
            read_volume(zip_of(files))
