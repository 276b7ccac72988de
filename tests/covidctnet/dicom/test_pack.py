import io
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest

from covidctnet.config import ReaderConfig
from covidctnet.dicom.deidentify import Deidentifier
from covidctnet.dicom.pack import PackedSeries, pack_series
from covidctnet.dicom.vocabulary import load_vocabulary
from covidctnet.errors import ConfigError, UnreadableFileError
from covidctnet.pseudonyms import KeyRing
from covidctnet.reading import read_volume
from tests.helpers.enhanced import make_enhanced
from tests.helpers.series import make_files, zip_of

KEYS = KeyRing((b"k" * 32,))


def pack(source: Path | bytes, output: Path, patient: str = "1") -> PackedSeries:
    return pack_series(
        source,
        output,
        pseudonym=KEYS.resolve("s", patient, ()),
        deidentifier=Deidentifier(vocabulary=load_vocabulary()),
        config=ReaderConfig(),
    )


def scope(image: pydicom.FileDataset, index: int) -> None:
    image.ManufacturerModelName = "SOMATOM Scope"


def test_the_same_input_gives_the_same_bytes_and_another_patient_others(tmp_path: Path) -> None:
    source = zip_of(make_files(edit=scope))
    packed = [pack(source, tmp_path / name, patient) for name, patient in (("a", "1"), ("b", "1"), ("c", "2"))]
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c
    assert len({one.fingerprint for one in packed}) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_the_fingerprint_knows_pixels_and_geometry_and_not_the_encoding(tmp_path: Path) -> None:
    files = make_files(edit=scope)
    plain = pack(zip_of(files), tmp_path / "a").fingerprint
    assert pack(zip_of(files[::-1], names="X{:04d}"), tmp_path / "b").fingerprint == plain
    assert pack(make_enhanced(files, rle=True), tmp_path / "c").fingerprint == plain
    # A packed case that is packed again is the same images.
    assert pack(tmp_path / "a", tmp_path / "d").fingerprint == plain
    assert pack(zip_of(make_files(edit=scope, pixel=5.9)), tmp_path / "e").fingerprint != plain
    assert pack(zip_of(files[1:]), tmp_path / "f").fingerprint != plain


@pytest.mark.parametrize(
    "change",
    [
        {"PixelRepresentation": 0, "BitsStored": 12, "HighBit": 11},
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PixelPaddingValue": 24},
        {"LossyImageCompression": "01"},
        {"RescaleSlope": "1.00000000000000000001"},
    ],
    ids=str,
)
def test_the_volume_is_the_same_whatever_the_encoding(tmp_path: Path, change: dict[str, object]) -> None:
    def edit(image: pydicom.FileDataset, index: int) -> None:
        scope(image, index)
        for keyword, value in change.items():
            if keyword == "PixelPaddingValue":
                image.add_new(keyword, "SS", value)
            else:
                setattr(image, keyword, value)

    source = zip_of(make_files(edit=edit))
    pack(source, tmp_path / "case.zip")
    before, after = read_volume(source), read_volume(tmp_path / "case.zip")
    np.testing.assert_array_equal(before.hu, after.hu)
    assert before.scanner == after.scanner
    assert before.warnings == after.warnings


def test_a_header_holds_nothing_beyond_what_is_listed(tmp_path: Path) -> None:
    pack(zip_of(make_files(edit=scope)), tmp_path / "case.zip")
    with zipfile.ZipFile(tmp_path / "case.zip") as archive:
        image = pydicom.dcmread(io.BytesIO(archive.read("0001.dcm")))
        assert archive.namelist() == [f"{number:04d}.dcm" for number in range(1, 21)]
    allowed = {
        *load_vocabulary().keywords, "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID",
        "FrameOfReferenceUID", "Modality", "PatientID", "PatientName", "PatientIdentityRemoved",
        "DeidentificationMethod", "DeidentificationMethodCodeSequence", "LongitudinalTemporalInformationModified",
        "InstanceNumber", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "Rows",
        "Columns", "PixelData",
    }  # fmt: skip
    assert {element.keyword for element in image} <= allowed
    assert image.LongitudinalTemporalInformationModified == "REMOVED"


def test_a_case_that_does_not_read_back_as_it_came_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import imagecodecs

    def lose_a_bit(pixels: np.ndarray, **options: int) -> bytes:
        return bytes(imagecodecs.ljpeg_encode(np.ascontiguousarray(pixels ^ np.uint16(1)), **options))

    class Broken:
        ljpeg_encode = staticmethod(lose_a_bit)

    monkeypatch.setattr("covidctnet.dicom.pack.imagecodecs", Broken)
    with pytest.raises(UnreadableFileError, match="differs from the one that came"):
        pack(zip_of(make_files(edit=scope)), tmp_path / "case.zip")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("keyword", "value", "kept"),
    [
        ("ManufacturerModelName", "SOMATOM Definition AS+", True),
        ("ManufacturerModelName", "Discovery CT750 HD", True),
        ("ManufacturerModelName", "uCT 760", True),
        ("ManufacturerModelName", "Scope 1957", False),
        ("ManufacturerModelName", "John Doe", False),
        ("ManufacturerModelName", "Scope 12345678", False),
        ("ManufacturerModelName", "Scope \u5c71\u7530", False),
        ("Manufacturer", "Philips Medical Systems", True),
        ("Manufacturer", "GE MEDICAL SYSTEMS", True),
        ("Manufacturer", "Charite Berlin", False),
        ("ConvolutionKernel", "Br40d", True),
        ("ConvolutionKernel", "Hr40f\\3", True),
        ("ConvolutionKernel", "FC07", True),
        ("ConvolutionKernel", "BONEPLUS", True),
        ("ConvolutionKernel", "DOE", False),
        ("KVP", "120", True),
        ("KVP", "19570412", False),
        ("KVP", "nan", False),
        ("SliceThickness", "1e400", False),
        ("BodyPartExamined", "CHEST", True),
        ("BodyPartExamined", "DOE", False),
        ("PatientName", "Doe", False),
    ],
)
def test_the_vocabulary_tells_devices_from_people(keyword: str, value: str, kept: bool) -> None:
    assert load_vocabulary().clean(keyword, value) == (value if kept else None)


def test_words_of_a_new_scanner_can_be_declared() -> None:
    vocabulary = load_vocabulary().with_words(("Acmeray",))
    assert vocabulary.clean("ManufacturerModelName", "AcmeRay 64") == "AcmeRay 64"
    with pytest.raises(ConfigError, match="2 to 32 letters"):
        vocabulary.with_words(("no word",))


@pytest.mark.real_data
def test_a_real_series_keeps_its_image_and_loses_its_identity(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "series" / "control-a.zip"
    pack(source, tmp_path / "case.zip")
    before, after = read_volume(source), read_volume(tmp_path / "case.zip")
    np.testing.assert_array_equal(before.hu, after.hu)
    assert (before.spacing_mm, before.origin_mm, before.scanner) == (after.spacing_mm, after.origin_mm, after.scanner)
    with zipfile.ZipFile(source) as archive:
        first = next(entry for entry in archive.namelist() if not entry.endswith("/"))
        header = pydicom.dcmread(io.BytesIO(archive.read(first)), stop_before_pixels=True)
    packed = (tmp_path / "case.zip").read_bytes()
    # The source's PatientID names the class.
    for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "ProtocolName", "SoftwareVersions"):
        assert str(header.get(keyword)).encode() not in packed
