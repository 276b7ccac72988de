"""Which of the files are CT images, and what their headers say."""

import io
import logging
import warnings
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.tag import Tag
from pydicom.uid import UID, MediaStorageDirectoryStorage

from covidctnet.config import ReaderConfig
from covidctnet.dicom.bounds import require_bounded_deflate
from covidctnet.dicom.frames import split_frames
from covidctnet.errors import NoStudyFoundError, StudyError, UnreadableFileError

_LOG = logging.getLogger(__name__)
_MAGIC = slice(128, 132)

_USED = (
    "SeriesInstanceUID", "StudyInstanceUID", "SeriesNumber", "ImageType", "ConvolutionKernel", "SliceThickness",
    "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "GantryDetectorTilt", "RescaleSlope",
    "RescaleIntercept", "RescaleType", "PixelPaddingValue", "Manufacturer", "ManufacturerModelName", "KVP",
    "BodyPartExamined", "PatientID", "PatientPosition", "PhotometricInterpretation", "HighBit", "LossyImageCompression",
)  # fmt: skip

_USED_TAGS = tuple(Tag(keyword) for keyword in _USED)

Vector = NDArray[np.float64]

_Decoded = dict[Hashable, DataElement]
"""Elements by their tag and undecoded value."""

# Malformed values are common in real archives, and pydicom would warn each time one is looked at; what
# matters of them is checked here.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE


@dataclass(frozen=True, kw_only=True, eq=False)
class Slice:
    """One CT image.

    Attributes:
        index: place among all images of the input, from 0.
        place: "file 17 of 133", to name it without its file name.
        dataset: header and pixel data as they came.
    """

    index: int
    place: str
    dataset: FileDataset

    def text(self, keyword: str) -> str:
        """An attribute as text, empty where it is missing."""
        value = self.dataset.get(keyword)
        return "" if value is None else str(value).strip()

    def number(self, keyword: str) -> float | None:
        """An attribute as a finite number, None where it is missing or malformed."""
        try:
            value = float(self.dataset.get(keyword))
        except (TypeError, ValueError):
            return None
        return value if np.isfinite(value) else None

    def vector(self, keyword: str, length: int) -> Vector | None:
        """An attribute as so many finite numbers, None where it is missing or malformed."""
        try:
            values = np.array([float(value) for value in self.dataset.get(keyword)], np.float64)
        except (TypeError, ValueError):
            return None
        return values if values.shape == (length,) and np.isfinite(values).all() else None

    @cached_property
    def image_type(self) -> tuple[str, ...]:
        """Values of ImageType (0008,0008) in capitals."""
        value = self.dataset.get("ImageType") or ()
        return tuple(str(part).strip().upper() for part in ([value] if isinstance(value, str) else value))


def find_ct_slices(files: list[bytes], config: ReaderConfig) -> list[Slice]:
    """Parse the files and keep the CT images; other DICOM objects and junk beside are passed over.

    Raises:
        NoStudyFoundError: none of the files is a CT image.
        UnreadableFileError: a DICOM file is cut off or malformed: a slice would be missing.
        UnsuitableSeriesError: a file holds several frames without their positions.
    """
    slices: list[Slice] = []
    decoded: _Decoded = {}
    junk, others = 0, 0
    for number, data in enumerate(files, start=1):
        place = f"file {number} of {len(files)}"
        require_bounded_deflate(data, config.max_file_bytes, place)
        dataset = _parse(data, place)
        if dataset is None:
            junk += 1
            continue
        with _malformed(place):
            images = _images(dataset, place, config, decoded)
        others += not images
        slices += [
            Slice(
                index=len(slices) + frame,
                place=place if len(images) == 1 else f"frame {frame + 1} of {place}",
                dataset=image,
            )
            for frame, image in enumerate(images)
        ]
    _LOG.info("%d CT images, %d other DICOM objects, %d files that are not DICOM", len(slices), others, junk)
    if slices:
        return slices
    if others:
        raise NoStudyFoundError(f"none of the {others} DICOM objects is a CT image; hand in a CT series")
    raise NoStudyFoundError(f"none of the {junk} files is DICOM; hand in a CT series")


def _images(dataset: FileDataset, place: str, config: ReaderConfig, decoded: _Decoded) -> list[FileDataset]:
    """The CT images of a DICOM object; none where it is something else."""
    if _sop_class(dataset) == MediaStorageDirectoryStorage or str(dataset.get("Modality", "")) not in {"CT", ""}:
        return []
    _require_image(dataset, place, config)
    images = split_frames(dataset, place, config)
    for image in images:
        _decode(image, decoded)
    return images


@contextmanager
def _malformed(place: str) -> Iterator[None]:
    try:
        yield
    except StudyError:
        raise
    except Exception as error:  # noqa: BLE001 - pydicom raises whatever a malformed element leads to
        raise UnreadableFileError(f"{place} is malformed ({type(error).__name__}); send it again") from None


def _decode(image: FileDataset, decoded: _Decoded) -> None:
    """Decode the elements that are used later: pydicom does it when one is first looked at.

    Most of them are the same in all slices of a series, so what was decoded once is taken again.
    """
    charset = str(image.original_character_set)
    for tag in _USED_TAGS:
        raw = image.get_item(tag)
        if not isinstance(raw, RawDataElement):
            continue
        key = tag, raw.VR, raw.value, raw.is_little_endian, charset
        if key in decoded:
            image[tag] = decoded[key]
        else:
            decoded[key] = image[tag]


def _sop_class(dataset: FileDataset) -> str:
    return str(dataset.get("SOPClassUID", "") or dataset.file_meta.get("MediaStorageSOPClassUID", ""))


def _parse(data: bytes, place: str) -> FileDataset | None:
    marked = data[_MAGIC] == b"DICM"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(io.BytesIO(data), force=not marked)
            # Elements are decoded when first used: do it now, while problems can be named.
            modality = dataset.get("Modality")
        except InvalidDicomError:
            return None
        except Exception as error:  # noqa: BLE001 - pydicom raises whatever a malformed element leads to
            if not marked:
                return None
            raise UnreadableFileError(
                f"{place} is cut off or malformed ({type(error).__name__}); send it again"
            ) from None
    if not marked and (modality is None or "Rows" not in dataset):
        return None
    if "TransferSyntaxUID" not in dataset.file_meta:
        raise UnreadableFileError(f"{place} does not say how its pixels are encoded (no transfer syntax)")
    syntax = dataset.file_meta.TransferSyntaxUID
    if not isinstance(syntax, UID) or not syntax.is_transfer_syntax:
        raise UnreadableFileError(f"{place} is encoded in no way that DICOM knows; send it uncompressed")
    return dataset


def _require_image(dataset: FileDataset, place: str, config: ReaderConfig) -> None:
    if "Rows" not in dataset or "Columns" not in dataset or "PixelData" not in dataset:
        raise UnreadableFileError(f"{place} is cut off: it holds no whole image; send it again")
    rows = _integer(dataset, "Rows", place, 1, config.max_rows)
    columns = _integer(dataset, "Columns", place, 1, config.max_rows)
    allocated = _integer(dataset, "BitsAllocated", place, 8, 32, default=16)
    if allocated not in (8, 16, 32):
        raise UnreadableFileError(f"{place} has BitsAllocated {allocated}; 8, 16 or 32 can be read")
    _integer(dataset, "BitsStored", place, 1, allocated, default=allocated)
    _integer(dataset, "PixelRepresentation", place, 0, 1, default=0)
    _integer(dataset, "SamplesPerPixel", place, 1, 4, default=1)
    if not isinstance(dataset.PixelData, bytes):
        raise UnreadableFileError(f"{place} holds malformed pixel data; send it again")
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        wanted = rows * columns * allocated // 8
        if len(dataset.PixelData) < wanted:
            raise UnreadableFileError(
                f"{place} is cut off: {len(dataset.PixelData)} of {wanted} bytes of pixels; send it again"
            )


def _integer(dataset: FileDataset, keyword: str, place: str, low: int, high: int, *, default: int | None = None) -> int:
    """An attribute that is a whole number in a range; the dataset holds it as such afterwards."""
    stored = dataset.get(keyword)
    try:
        value = default if stored is None and default is not None else int(stored)
    except (TypeError, ValueError, OverflowError):
        raise UnreadableFileError(f"{place} has a malformed {keyword}; send it again") from None
    if not low <= value <= high:
        raise UnreadableFileError(f"{place} has {keyword} {value}, which is not between {low} and {high}")
    if type(stored) is not int:
        dataset.add_new(keyword, "US", value)
    return value
