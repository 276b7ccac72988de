"""Which of the files are CT images, and what their headers say."""

import io
import logging
import warnings
from dataclasses import dataclass

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import MediaStorageDirectoryStorage

from covidctnet.config import ReaderConfig
from covidctnet.dicom.bounds import require_bounded_deflate
from covidctnet.dicom.frames import split_frames
from covidctnet.errors import NoStudyFoundError, UnreadableFileError

_LOG = logging.getLogger(__name__)
_MAGIC = slice(128, 132)

Vector = NDArray[np.float64]

# Malformed values are common in real archives, and pydicom would warn each time one is looked at; what
# matters of them is checked here.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE


@dataclass(frozen=True, kw_only=True, eq=False)
class Slice:
    """One CT image.

    Attributes:
        place: "file 17 of 133", to name it without its file name.
        dataset: header and pixel data as they came.
    """

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

    @property
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
    slices, junk, others = [], 0, 0
    for number, data in enumerate(files, start=1):
        place = f"file {number} of {len(files)}"
        require_bounded_deflate(data, config.max_file_bytes, place)
        dataset = _parse(data, place)
        if dataset is None:
            junk += 1
        elif _sop_class(dataset) == MediaStorageDirectoryStorage or str(dataset.get("Modality", "")) not in {
            "CT",
            "",
        }:
            others += 1
        else:
            _require_image(dataset, place, config)
            images = split_frames(dataset, place, config)
            slices += [
                Slice(place=place if len(images) == 1 else f"frame {frame} of {place}", dataset=image)
                for frame, image in enumerate(images, start=1)
            ]
    _LOG.info("%d CT images, %d other DICOM objects, %d files that are not DICOM", len(slices), others, junk)
    if slices:
        return slices
    if others:
        raise NoStudyFoundError(f"none of the {others} DICOM objects is a CT image; hand in a CT series")
    raise NoStudyFoundError(f"none of the {junk} files is DICOM; hand in a CT series")


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
    return dataset


def _require_image(dataset: FileDataset, place: str, config: ReaderConfig) -> None:
    rows, columns = dataset.get("Rows"), dataset.get("Columns")
    if not rows or not columns or "PixelData" not in dataset:
        raise UnreadableFileError(f"{place} is cut off: it holds no whole image; send it again")
    if max(int(rows), int(columns)) > config.max_rows:
        raise UnreadableFileError(
            f"{place} claims {rows} x {columns} pixels, more than {config.max_rows} (reader.max_rows)"
        )
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        wanted = int(rows) * int(columns) * int(dataset.get("BitsAllocated", 16)) // 8
        if len(dataset.PixelData) < wanted:
            raise UnreadableFileError(
                f"{place} is cut off: {len(dataset.PixelData)} of {wanted} bytes of pixels; send it again"
            )
