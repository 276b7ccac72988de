"""Write a phantom as one zip of DICOM CT images, the form in which hospitals send a series."""

import io
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    RLELossless,
    generate_uid,
)

from covidctnet.phantom.grid import Field, Grid
from covidctnet.phantom.scanners import ScannerModel

_AIR_HU = -1000


@dataclass(frozen=True, kw_only=True)
class SeriesHeader:
    """What the headers of one phantom series say besides the image."""

    case: str
    patient: str
    scanner: ScannerModel
    kernel: str
    slice_thickness_mm: float


def write_series(path: Path, hu: Field, grid: Grid, header: SeriesHeader) -> None:
    """Write one series; the same arguments give the same bytes.

    Args:
        path: the zip to write; it is complete or absent.
        hu: Hounsfield units, axes (z, y, x), z from feet to head.
        grid: where the voxels lie.
        header: scanner and identifiers.
    """
    raw = _raw_pixels(hu, grid, header.scanner)
    # Instances are numbered from the head, and the zip lists them in neither order: as real archives do.
    order = np.random.default_rng(len(raw)).permutation(len(raw))
    partial = path.with_suffix(".partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for place, index in enumerate(order):
            entry = zipfile.ZipInfo(f"IM{place:04d}", date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, _encode_slice(raw[index], int(index), len(raw), grid, header))
    os.replace(partial, path)


def _raw_pixels(hu: Field, grid: Grid, scanner: ScannerModel) -> NDArray[np.int16] | NDArray[np.uint16]:
    raw = np.rint(hu) - scanner.intercept
    low, high = (-2048, 4095) if scanner.signed else (0, 4095)
    raw = np.clip(raw, low, high)
    reach = 0.5 * grid.matrix * grid.pixel_spacing_mm
    outside = np.broadcast_to(grid.x**2 + grid.y**2 > reach**2, raw.shape)
    raw[outside] = np.clip(_AIR_HU - scanner.intercept, low, high) if scanner.padding is None else scanner.padding
    stored: NDArray[np.int16] | NDArray[np.uint16] = raw.astype(np.int16 if scanner.signed else np.uint16)
    return stored


def _encode_slice(pixels: NDArray[np.generic], index: int, count: int, grid: Grid, header: SeriesHeader) -> bytes:
    scanner = header.scanner
    uid = generate_uid(entropy_srcs=[header.case, str(index)])
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = uid
    meta.TransferSyntaxUID = UID(scanner.transfer_syntax)
    meta.ImplementationClassUID = generate_uid(entropy_srcs=["covidctnet phantom"])
    image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, uid
    image.StudyInstanceUID = generate_uid(entropy_srcs=[header.case, "study"])
    image.SeriesInstanceUID = generate_uid(entropy_srcs=[header.case, "series"])
    image.FrameOfReferenceUID = generate_uid(entropy_srcs=[header.case, "frame"])
    image.Modality, image.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.PatientID, image.PatientName = header.patient, ""
    image.PatientIdentityRemoved, image.DeidentificationMethod = "YES", "synthetic phantom"
    image.Manufacturer, image.ManufacturerModelName = scanner.manufacturer, scanner.model
    image.ConvolutionKernel, image.KVP = header.kernel, str(scanner.kvp)
    image.BodyPartExamined, image.PatientPosition = "CHEST", "HFS"
    image.SliceThickness = f"{header.slice_thickness_mm:g}"
    image.InstanceNumber = str(count - index)
    _set_plane(image, index, grid)
    _set_pixels(image, pixels, scanner)
    buffer = io.BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _set_plane(image: FileDataset, index: int, grid: Grid) -> None:
    corner: Sequence[float] = (grid.x[0, 0, 0], grid.y[0, 0, 0], grid.z[index, 0, 0])
    image.ImagePositionPatient = [f"{value:.6f}" for value in corner]
    image.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    image.PixelSpacing = [f"{grid.pixel_spacing_mm:.6f}"] * 2
    image.SliceLocation = f"{corner[2]:.6f}"


def _set_pixels(image: FileDataset, pixels: NDArray[np.generic], scanner: ScannerModel) -> None:
    image.Rows, image.Columns = pixels.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 16, 15
    image.PixelRepresentation = int(scanner.signed)
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = str(scanner.intercept), "1", "HU"
    if scanner.padding_tag is not None:
        # Some scanners write a signed padding value into an unsigned field.
        image.add_new("PixelPaddingValue", "US", scanner.padding_tag)
    plain = np.ascontiguousarray(pixels)
    if scanner.transfer_syntax == JPEGLosslessSV1:
        image.PixelData = encapsulate([bytes(imagecodecs.ljpeg_encode(plain, bitspersample=16))])
    elif scanner.transfer_syntax == JPEG2000Lossless:
        image.PixelData = encapsulate(
            [bytes(imagecodecs.jpeg2k_encode(plain, level=0, codecformat="j2k", reversible=True))]
        )
    elif scanner.transfer_syntax == RLELossless:
        image.PixelData = plain.tobytes()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.compress(RLELossless, generate_instance_uid=False)
    else:
        image.PixelData = plain.astype("<u2" if not scanner.signed else "<i2").tobytes()
    image["PixelData"].VR = "OW" if not image["PixelData"].is_undefined_length else "OB"
