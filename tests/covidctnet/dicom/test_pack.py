import io
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset

from covidctnet.config import ReaderConfig
from covidctnet.dicom.pack import pack_series
from covidctnet.reading import read_volume
from tests.helpers.series import make_files, zip_of

SECRET = "Secretname"


def plant(dataset: FileDataset, index: int) -> None:
    for keyword in (
        "PatientName",
        "PatientID",
        "StudyDescription",
        "InstitutionName",
        "StationName",
        "PatientComments",
    ):
        setattr(dataset, keyword, SECRET)
    dataset.DeviceSerialNumber, dataset.AccessionNumber = SECRET, SECRET
    dataset.add_new((0x0029, 0x0010), "LO", SECRET)
    dataset.add_new((0x0029, 0x1010), "LO", SECRET)
    inner = Dataset()
    inner.CodeMeaning = SECRET
    dataset.ProcedureCodeSequence = [inner]
    dataset.StudyDate, dataset.SeriesInstanceUID = "20200317", "1.2.3.20200317"
    dataset.file_meta.SourceApplicationEntityTitle = SECRET


def test_nothing_of_the_identity_survives_and_the_image_does(tmp_path: Path) -> None:
    source = zip_of(make_files(edit=plant), names=SECRET + "{:04d}")
    assert SECRET.encode() in source
    scanner = pack_series(source, tmp_path / "case.zip", patient="p001", config=ReaderConfig())
    packed = (tmp_path / "case.zip").read_bytes()
    assert SECRET.encode() not in packed
    assert b"20200317" not in packed
    assert str(scanner) == "Siemens Test"
    before, after = read_volume(source), read_volume(tmp_path / "case.zip")
    np.testing.assert_array_equal(before.hu, after.hu)
    assert (before.spacing_mm, before.origin_mm, before.scanner) == (after.spacing_mm, after.origin_mm, after.scanner)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        first = pydicom.dcmread(io.BytesIO(archive.read("0001.dcm")))
    assert first.PatientID == "p001"
    assert first.PatientIdentityRemoved == "YES"
    assert not any(element.tag.is_private for element in first)


def test_the_same_input_gives_the_same_bytes_and_another_patient_others(tmp_path: Path) -> None:
    source = zip_of(make_files(edit=plant))
    for name, patient in (("a", "p1"), ("b", "p1"), ("c", "p2")):
        pack_series(source, tmp_path / name, patient=patient, config=ReaderConfig())
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


@pytest.mark.real_data
def test_a_real_series_keeps_its_image_and_loses_its_identity(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "series" / "control-a.zip"
    pack_series(source, tmp_path / "case.zip", patient="p9", config=ReaderConfig())
    np.testing.assert_array_equal(read_volume(source).hu, read_volume(tmp_path / "case.zip").hu)
    # The source's PatientID names the class.
    assert b"normal" not in (tmp_path / "case.zip").read_bytes().lower()
