"""Write a phantom as one zip of DICOM CT images, the form in which hospitals send a series."""

import os
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

from covidctnet.phantom.acquisition import ScannerModel, to_stored
from covidctnet.phantom.encoding import Pixels, set_pixel_data
from covidctnet.phantom.grid import Field, Grid

Encoded = dict[BaseTag, bytes]
"""Data elements as they stand in a file."""


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
    raw = to_stored(hu, grid, header.scanner)
    # The zip lists them in no order: as real archives do.
    order = np.random.default_rng(len(raw)).permutation(len(raw))
    partial = path.with_suffix(".partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    # Nearly all elements are the same in every slice, so they are encoded once.
    syntax = UID(header.scanner.transfer_syntax)
    common, meta = _encode(_describe_series(grid, header), syntax), _describe_files(syntax)
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for place, index in enumerate(order):
            entry = zipfile.ZipInfo(f"IM{place:04d}", date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, _encode_slice(common, meta, raw[index], int(index), grid, header))
    os.replace(partial, path)


def _describe_series(grid: Grid, header: SeriesHeader) -> Dataset:
    """What all slices of a series have in common."""
    scanner, image = header.scanner, Dataset()
    image.SOPClassUID = CTImageStorage
    image.StudyInstanceUID = generate_uid(entropy_srcs=[header.case, "study"])
    image.SeriesInstanceUID = generate_uid(entropy_srcs=[header.case, "series"])
    image.FrameOfReferenceUID = generate_uid(entropy_srcs=[header.case, "frame"])
    image.Modality, image.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL", *scanner.image_type]
    image.PatientID, image.PatientName = header.patient, ""
    image.PatientIdentityRemoved, image.DeidentificationMethod = "YES", "synthetic phantom"
    image.Manufacturer, image.ManufacturerModelName = scanner.manufacturer, scanner.model
    image.ConvolutionKernel, image.KVP = header.kernel, str(scanner.kvp)
    image.BodyPartExamined, image.PatientPosition = "CHEST", scanner.position
    image.SliceThickness = f"{header.slice_thickness_mm:g}"
    if scanner.spacing_sign:
        image.SpacingBetweenSlices = f"{scanner.spacing_sign * grid.slice_spacing_mm:g}"
    image.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    image.PixelSpacing = [f"{grid.pixel_spacing_mm:.6f}"] * 2
    _describe_pixels(image, grid, scanner)
    return image


def _describe_pixels(image: Dataset, grid: Grid, scanner: ScannerModel) -> None:
    image.Rows = image.Columns = grid.matrix
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, scanner.bits_stored, scanner.bits_stored - 1
    image.PixelRepresentation = int(scanner.signed)
    image.RescaleIntercept, image.RescaleSlope = str(scanner.intercept), "1"
    if scanner.rescale_type is not None:
        image.RescaleType = scanner.rescale_type
    if scanner.padding_tag is not None:
        image.add_new("PixelPaddingValue", *scanner.padding_tag)


def _encode_slice(
    common: Encoded, meta: Encoded, pixels: Pixels, index: int, grid: Grid, header: SeriesHeader
) -> bytes:
    """The file of one slice, counted from the feet."""
    image, syntax = Dataset(), UID(header.scanner.transfer_syntax)
    image.SOPInstanceUID = generate_uid(entropy_srcs=[header.case, str(index)])
    image.InstanceNumber = str(grid.slices - index if header.scanner.numbered_from_head else index + 1)
    corner = grid.corner_mm(index)
    image.ImagePositionPatient = [f"{value:.6f}" for value in corner]
    image.SliceLocation = f"{corner[2]:.6f}"
    set_pixel_data(image, pixels, syntax)
    body = b"".join(encoded for _, encoded in sorted((common | _encode(image, syntax)).items()))
    if syntax.is_deflated:
        compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        body = compressor.compress(body) + compressor.flush()
        body += b"\0" * (len(body) % 2)
    return _encode_meta(meta, image.SOPInstanceUID) + body


def _encode(elements: Iterable[DataElement], syntax: UID) -> Encoded:
    encoded = {}
    for element in elements:
        buffer = DicomBytesIO()
        buffer.is_little_endian, buffer.is_implicit_VR = syntax.is_little_endian, syntax.is_implicit_VR
        write_data_element(buffer, element)
        encoded[element.tag] = buffer.getvalue()
    return encoded


def _describe_files(syntax: UID) -> Encoded:
    """File meta information that all files of a series have in common."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, syntax
    meta.ImplementationClassUID = generate_uid(entropy_srcs=["covidctnet phantom"])
    meta.ImplementationVersionName = f"PYDICOM {pydicom.__version__}"
    return _encode(meta, ExplicitVRLittleEndian)


def _encode_meta(meta: Encoded, instance: UID) -> bytes:
    """Preamble and file meta information of one file (PS3.10, 7.1)."""
    own = Dataset()
    own.MediaStorageSOPInstanceUID = instance
    group = b"".join(encoded for _, encoded in sorted((meta | _encode(own, ExplicitVRLittleEndian)).items()))
    length = Dataset()
    length.add_new(0x00020000, "UL", len(group))
    return b"\0" * 128 + b"DICM" + _encode(length, ExplicitVRLittleEndian)[Tag(0x00020000)] + group
