"""Write the diagnostic series of a study as a de-identified case: one zip of new DICOM files.

The pixels are decoded and encoded again without loss: comments inside of compressed data, bits above those that
are used, bytes after the image and whatever else rides on pixel data stay behind.
"""

import hashlib
import io
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGLosslessSV1

from covidctnet.config import ReaderConfig
from covidctnet.dicom.deidentify import Deidentifier, clean_all
from covidctnet.dicom.geometry import find_geometry
from covidctnet.dicom.headers import Slice, find_ct_slices
from covidctnet.dicom.pixels import stored_values
from covidctnet.dicom.read import describe_scanner
from covidctnet.dicom.series import choose_series
from covidctnet.dicom.sources import read_files
from covidctnet.errors import UnreadableFileError
from covidctnet.machine import usable_cores
from covidctnet.pseudonyms import Pseudonym
from covidctnet.volume import Scanner

_IMPLEMENTATION = "2.25.302934729123837266163862741853922214119"
_VALUES = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept")
_MOST_BITS = 16

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class PackedSeries:
    """A case that was written.

    Attributes:
        scanner: as the new header tells it.
        fingerprint: hash of pixels, geometry and rescaling: the same however the series was sent or named.
        dropped: keywords of the device's description that held something that is not in the vocabulary.
    """

    scanner: Scanner
    fingerprint: str
    dropped: tuple[str, ...]


def pack_series(
    source: Path | bytes | list[bytes],
    output: Path,
    *,
    pseudonym: Pseudonym,
    deidentifier: Deidentifier,
    config: ReaderConfig,
) -> PackedSeries:
    """Pack the series that the reader would choose; the same input gives the same bytes.

    Images are de-identified before anything is said of them, so that no message can hold what a header held.

    Args:
        source: folder, zip or file of DICOM images, bytes, or the files themselves.
        output: the zip to write; it is complete or absent.
        pseudonym: takes the place of the patient's identity.
        deidentifier: what may stay.
        config: what the reader accepts.

    Raises:
        StudyError: the reader refuses the study, or an image shows the patient's identity.
    """
    files = source if isinstance(source, list) else read_files(source, config)
    images = find_ct_slices(files, config)
    dropped = tuple(sorted({keyword for image in images for keyword in deidentifier.dropped_texts(image)}))
    slices = choose_series(clean_all(images, deidentifier, pseudonym), config).slices
    ordered = [slices[index] for index in find_geometry(slices, config).order]
    encoded = _in_threads(_encode_pixels, ordered)
    fingerprint = _join(piece for piece, _ in encoded)
    partial = output.with_name(output.name + ".writing")
    try:
        _write(partial, _finish(ordered, [pixels for _, pixels in encoded], pseudonym, fingerprint))
        _require_equal(partial, fingerprint, config)
        os.replace(partial, output)
    finally:
        partial.unlink(missing_ok=True)
    return PackedSeries(scanner=describe_scanner(ordered[0]), fingerprint=fingerprint, dropped=dropped)


def fingerprint_of(ordered: list[Slice]) -> str:
    """Hash of the images in their order: pixels, where they lie and what their values mean."""
    return _join(_in_threads(lambda image: _fingerprint(image, stored_values(image)), ordered))


def _join(pieces: Iterable[bytes]) -> str:
    return hashlib.sha256(b"".join(pieces)).hexdigest()


def _fingerprint(image: Slice, pixels: NDArray[np.int32]) -> bytes:
    digest = hashlib.sha256()
    for keyword in _VALUES:
        value = image.dataset.get(keyword)
        numbers = np.atleast_1d(np.array(value if value is not None else [], np.float64))
        digest.update(numbers.round(6).astype("<f8").tobytes())
    digest.update(np.array(pixels.shape, "<i4").tobytes() + pixels.astype("<i4").tobytes())
    return digest.digest()


def _in_threads(work: Callable[[Slice], Result], images: list[Slice]) -> list[Result]:
    # Decoders and encoders release the interpreter lock.
    with ThreadPoolExecutor(usable_cores()) as pool:
        return list(pool.map(work, images))


def _write(path: Path, files: Iterable[bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number, data in enumerate(files, start=1):
            archive.writestr(zipfile.ZipInfo(f"{number:04d}.dcm", date_time=(1980, 1, 1, 0, 0, 0)), data)


def _require_equal(path: Path, fingerprint: str, config: ReaderConfig) -> None:
    """Read back what was written: an image that changed on the way must not be trained on."""
    slices = choose_series(find_ct_slices(read_files(path, config), config), config).slices
    if fingerprint_of([slices[index] for index in find_geometry(slices, config).order]) != fingerprint:
        raise UnreadableFileError("the packed series differs from the one that came; nothing was added")


def _finish(ordered: list[Slice], pixels: list[bytes], pseudonym: Pseudonym, fingerprint: str) -> Iterator[bytes]:
    for number, (image, data) in enumerate(zip(ordered, pixels, strict=True), start=1):
        new: FileDataset = image.dataset
        new.SOPInstanceUID = UID(pseudonym.uid(fingerprint, str(number)))
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
            new[keyword].value = new[keyword].value or pseudonym.uid(fingerprint, keyword)
        new.file_meta.MediaStorageSOPInstanceUID = new.SOPInstanceUID
        new.file_meta.ImplementationClassUID = UID(_IMPLEMENTATION)
        new.InstanceNumber = str(number)
        _set_pixels(new, data)
        buffer = io.BytesIO()
        new.save_as(buffer, enforce_file_format=True)
        yield buffer.getvalue()


def _encode_pixels(image: Slice) -> tuple[bytes, bytes]:
    """Fingerprint, and pixels encoded anew: only the bits that are used, and nothing beside them."""
    values = stored_values(image)
    stored = int(image.dataset.get("BitsStored", _MOST_BITS))
    if stored > _MOST_BITS:
        return _fingerprint(image, values), values.astype("<i4").tobytes()
    plain = np.ascontiguousarray(values & ((1 << stored) - 1)).astype(np.uint16)
    return _fingerprint(image, values), bytes(imagecodecs.ljpeg_encode(plain, bitspersample=_MOST_BITS))


def _set_pixels(new: FileDataset, data: bytes) -> None:
    stored = int(new.get("BitsStored", _MOST_BITS))
    new.SamplesPerPixel, new.PixelRepresentation = 1, int(new.get("PixelRepresentation", 0))
    new.PhotometricInterpretation = new.get("PhotometricInterpretation") or "MONOCHROME2"
    new.BitsStored, new.HighBit = stored, stored - 1
    plain = stored > _MOST_BITS
    new.BitsAllocated = 32 if plain else _MOST_BITS
    new.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if plain else JPEGLosslessSV1
    new.PixelData = data if plain else encapsulate([data])
    new["PixelData"].VR = "OW" if plain else "OB"
    new["PixelData"].is_undefined_length = not plain
