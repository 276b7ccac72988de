import io
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import generate_frames
from pydicom.uid import DeflatedExplicitVRLittleEndian

from covidctnet.config import ReaderConfig
from covidctnet.dicom.bounds import codestream_shape
from covidctnet.errors import UnreadableFileError
from covidctnet.reading import read_volume
from tests.helpers.series import crude_chest, make_files, zip_of

COMPRESSED = ("JPEG2000LosslessOnly", "JPEGLSLossless", "JPEGProcess14SV1", "JPEGProcess1Transfer", "JPEGProcess2_4")


@pytest.mark.real_data
@pytest.mark.parametrize("syntax", COMPRESSED)
def test_the_size_in_a_codestream_is_found(shared_data: Path, syntax: str) -> None:
    folder = shared_data / "headers/ge_hispeed_chest_transfer_syntaxes"
    dataset = pydicom.dcmread(next(folder.glob(f"*_{syntax}*")))
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    assert codestream_shape(frame) == (dataset.Rows, dataset.Columns)


@pytest.mark.parametrize("frame", [b"", b"\xff\xd8", b"\xff\xd8\xff\xda\x00", b"no image", b"\xff\x4f\xff\x51\x00"])
def test_a_codestream_without_a_header_has_no_size(frame: bytes) -> None:
    assert codestream_shape(frame) is None


@pytest.mark.real_data
def test_a_codestream_that_claims_more_pixels_than_its_header_is_refused(shared_data: Path) -> None:
    from covidctnet.dicom.headers import find_ct_slices
    from covidctnet.dicom.pixels import decode_slice

    folder = shared_data / "headers/ge_hispeed_chest_transfer_syntaxes"
    data = next(folder.glob("*_JPEGProcess14SV1*")).read_bytes()
    start = data.index(b"\xff\xc3") + 5
    assert data[start : start + 4] == b"\x02\x00\x02\x00"
    huge = data[:start] + b"\xff\xff\xff\xff" + data[start + 4 :]
    image = find_ct_slices([huge], ReaderConfig())[0]
    with pytest.raises(UnreadableFileError, match=r"claims \(65535, 65535\) pixels in its data and \(512, 512\)"):
        decode_slice(image)


def deflated(data: bytes) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(data))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_a_deflated_series_is_read() -> None:
    volume = read_volume(zip_of([deflated(data) for data in make_files()]))
    np.testing.assert_array_equal(volume.hu, crude_chest())


def test_a_deflated_file_that_expands_beyond_the_limit_is_refused() -> None:
    data = deflated(make_files()[0])
    start = 144 + int.from_bytes(data[140:144], "little")
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = data[:start] + packer.compress(bytes(3_000_000)) + packer.flush()
    assert len(bomb) < 10_000
    with pytest.raises(UnreadableFileError, match="file 1 of 1 expands to more than 1 MB"):
        read_volume(bomb, ReaderConfig(max_file_bytes=1_000_000))
