"""Small DICOM series of a crude chest, with the faults that a test asks for."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

Edit = Callable[[FileDataset, int], None]


def crude_chest(slices: int = 20, matrix: int = 64) -> np.ndarray:
    """Hounsfield units, axes (z, y, x): a body with two lungs and a spine, unlike its mirror images."""
    hu = np.full((slices, matrix, matrix), -1000, np.int16)
    u = matrix // 16
    hu[:, 3 * u : 13 * u, 2 * u : 14 * u] = 40
    hu[2:-2, 5 * u : 10 * u, 3 * u : 7 * u] = -850
    hu[2:-2, 5 * u : 10 * u, 9 * u : 13 * u] = -840
    hu[:, 11 * u : 12 * u, 7 * u : 9 * u] = 700
    hu[0, 4 * u, 4 * u] = 300
    return hu


def make_files(
    hu: np.ndarray | None = None,
    *,
    spacing: float = 10.0,
    pixel: float = 6.0,
    edit: Edit = lambda dataset, index: None,
    series: str = "1",
) -> list[bytes]:
    """DICOM files of one series, from feet to head; `edit` may change each dataset before it is written."""
    hu = crude_chest() if hu is None else hu
    files = []
    for index, plane in enumerate(hu):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[series, str(index)])
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        image.StudyInstanceUID = generate_uid(entropy_srcs=["study"])
        image.SeriesInstanceUID = generate_uid(entropy_srcs=["series", series])
        image.Modality, image.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
        image.Manufacturer, image.ManufacturerModelName = "SIEMENS", "Test"
        image.ConvolutionKernel, image.KVP, image.SliceThickness = "B31s", "120", str(spacing)
        image.ImagePositionPatient = ["-100", "-200", f"{-300 + spacing * index:.3f}"]
        image.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
        image.PixelSpacing = [str(pixel), str(pixel)]
        image.Rows, image.Columns = plane.shape
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 1
        image.RescaleIntercept, image.RescaleSlope = "-1024", "1"
        image.PixelData = (plane.astype(np.int16) + np.int16(1024)).astype("<i2").tobytes()
        edit(image, index)
        buffer = io.BytesIO()
        image.save_as(buffer, enforce_file_format=True)
        files.append(buffer.getvalue())
    return files


def zip_of(files: list[bytes], *, names: str = "IM{:04d}") -> bytes:
    """A zip of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, data in enumerate(files):
            archive.writestr(names.format(number), data)
    return buffer.getvalue()


def write_folder(folder: Path, files: list[bytes]) -> Path:
    """These files in a folder, in sub-folders and without endings."""
    for number, data in enumerate(files):
        path = folder / f"part{number % 3}" / f"{number * 7 % len(files):04d}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder
