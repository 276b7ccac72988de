"""Write the diagnostic series of a study as a de-identified case: one zip of new DICOM files.

Nothing is removed from a header: a new one is written that holds a short list of attributes. What is not
on the list, private tags, sequences and file-meta identifiers among it, cannot leak.
"""

import hashlib
import io
import os
import zipfile
from pathlib import Path

from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, generate_uid

from covidctnet.config import ReaderConfig
from covidctnet.dicom.geometry import find_geometry
from covidctnet.dicom.headers import Slice, find_ct_slices
from covidctnet.dicom.read import describe_scanner
from covidctnet.dicom.series import choose_series
from covidctnet.dicom.sources import read_files
from covidctnet.volume import Scanner

_IMAGE = (
    "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "PixelPaddingValue", "RescaleIntercept", "RescaleSlope", "LossyImageCompression",
)  # fmt: skip
_PLANE = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "PatientPosition",
)
_ACQUISITION = (
    "Manufacturer", "ManufacturerModelName", "ConvolutionKernel", "KVP", "GantryDetectorTilt", "BodyPartExamined",
)  # fmt: skip


def pack_series(source: Path | bytes, output: Path, *, patient: str, config: ReaderConfig) -> Scanner:
    """Pack the series that the reader would choose; the same input gives the same bytes.

    Args:
        source: folder, zip or file of DICOM images, or bytes.
        output: the zip to write; it is complete or absent.
        patient: pseudonym that takes the place of the patient's identity.
        config: what the reader accepts.

    Returns:
        The scanner as the header tells it.

    Raises:
        StudyError: the reader refuses the study.
    """
    slices = choose_series(find_ct_slices(read_files(source, config), config), config).slices
    order = find_geometry(slices, config).order
    digest = hashlib.sha256(patient.encode())
    for index in order:
        digest.update(slices[index].dataset.PixelData)
    key = digest.hexdigest()
    partial = output.with_name(output.name + ".writing")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for number, index in enumerate(order, start=1):
            entry = zipfile.ZipInfo(f"{number:04d}.dcm", date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, _rewrite(slices[index], number, patient, key))
    os.replace(partial, output)
    return describe_scanner(slices[order[0]])


def _rewrite(image: Slice, number: int, patient: str, key: str) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[key, str(number)])
    meta.TransferSyntaxUID = image.dataset.file_meta.TransferSyntaxUID
    meta.ImplementationClassUID = generate_uid(entropy_srcs=["covidctnet"])
    new = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    new.SOPClassUID, new.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    new.StudyInstanceUID = generate_uid(entropy_srcs=[key, "study"])
    new.SeriesInstanceUID = generate_uid(entropy_srcs=[key, "series"])
    new.FrameOfReferenceUID = generate_uid(entropy_srcs=[key, "frame"])
    new.Modality, new.ImageType = "CT", list(image.image_type[:3]) or ["ORIGINAL", "PRIMARY", "AXIAL"]
    new.PatientID, new.PatientName = patient, ""
    new.PatientIdentityRemoved = "YES"
    new.DeidentificationMethod = "attributes on a keep-list copied into new instances"
    new.InstanceNumber = str(number)
    for keyword in (*_IMAGE, *_PLANE, *_ACQUISITION):
        if image.text(keyword):
            new[keyword] = image.dataset[keyword]
    new["PixelData"] = image.dataset["PixelData"]
    buffer = io.BytesIO()
    new.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
