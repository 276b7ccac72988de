"""Plant recognisable identity wherever a DICOM series can hold any."""

import io
import random
import string
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field

import imagecodecs
import numpy as np
from pydicom.datadict import DicomDictionary, dictionary_VR
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import JPEGLosslessSV1

NEEDED = {
    "Modality", "SOPClassUID", "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation", "RescaleIntercept", "RescaleSlope", "RescaleType",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "ImageType", "NumberOfFrames",
    "GantryDetectorTilt", "SpecificCharacterSet", "BurnedInAnnotation", "RecognizableVisualFeatures", "PixelData",
    "FloatPixelData", "DoubleFloatPixelData", "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence",
    "ExtendedOffsetTable", "ExtendedOffsetTableLengths", "PixelPaddingValue",
    # Identity is looked up by it, so the test names it itself.
    "PatientID", "SeriesInstanceUID", "StudyInstanceUID",
}  # fmt: skip
"""Without these the series would be another one, or none."""

DEVICE = {"Manufacturer", "ManufacturerModelName", "ConvolutionKernel", "KVP", "SliceThickness", "PatientPosition",
          "BodyPartExamined", "LossyImageCompression"}  # fmt: skip
"""Kept where they say what a device says."""


@dataclass
class Planter:
    """Makes values that occur nowhere else, and remembers them."""

    rng: random.Random
    planted: set[str] = field(default_factory=set)

    def word(self) -> str:
        return self._keep("".join(self.rng.choices(string.ascii_letters, k=11)))

    def digits(self, count: int) -> str:
        return self._keep(self.rng.choice("123456789") + "".join(self.rng.choices(string.digits, k=count - 1)))

    def date(self) -> str:
        return self._keep(f"{self.rng.randint(1900, 1979)}{self.rng.randint(1, 12):02d}{self.rng.randint(1, 28):02d}")

    def uid(self) -> str:
        return self._keep(f"1.2.840.113619.{self.rng.randint(1900, 1979)}0412.{self.rng.randrange(10**11, 10**12)}")

    def _keep(self, value: str) -> str:
        self.planted.add(value)
        return value

    def value(self, vr: str) -> object:
        """A value of this representation, None where it holds no text."""
        makers: dict[str, Callable[[], object]] = {
            "AE": self.word, "CS": self.word, "LO": self.word, "LT": self.word, "SH": self.word, "ST": self.word,
            "UC": self.word, "UT": self.word, "UR": lambda: "http://" + self.word(), "AS": self.word,
            "PN": lambda: f"{self.word()}^{self.word()}=={self.word()}",
            "DA": self.date, "DT": lambda: self.date() + "101112.123456", "TM": lambda: "1011" + self.digits(9),
            "UI": self.uid, "DS": lambda: self.digits(12), "IS": lambda: self.digits(10),
            "OB": lambda: (self.word() + self.word()).encode(), "UN": lambda: (self.word() + self.word()).encode(),
        }  # fmt: skip
        return makers[vr]() if vr in makers else None


def plant_in_device(image: FileDataset, planter: Planter) -> None:
    """Put a value of its own into what describes the device, which is kept where it does."""
    for keyword in sorted(DEVICE):
        vr = dictionary_VR(keyword)
        image.add_new(keyword, vr, planter.value(vr))


def plant_everywhere(image: FileDataset, planter: Planter) -> None:
    """Put a value of its own into every attribute of the dictionary that holds text, and into sequences of them.

    The device's description stays as it is.

    Args:
        image: changed in place.
        planter: makes the values.
    """
    for number, (vr, _, _, _, keyword) in DicomDictionary.items():
        tag = Tag(number)
        if keyword in NEEDED or keyword in DEVICE or tag.group in (0x0000, 0x0002, 0x0004, 0xFFFE):
            continue
        if vr == "SQ":
            image.add_new(tag, "SQ", Sequence([_item(planter)]))
        elif (value := planter.value(vr)) is not None:
            image.add_new(tag, vr, value)
    for group in range(0x0009, 0x0061, 2):
        image.add_new((group, 0x0010), "LO", planter.word())
        image.add_new((group, 0x1010), "LO", planter.word())
        image.add_new((group, 0x1011), "SQ", Sequence([_item(planter)]))
    for group in (0x5000, 0x6000, 0x6002):
        image.add_new((group, 0x0022), "LO", planter.word())
        image.add_new((group, 0x3000), "OB", (planter.word() + planter.word()).encode())
    image.file_meta.SourceApplicationEntityTitle = planter.word()
    image.file_meta.ImplementationVersionName = planter.word()
    image.file_meta.PrivateInformationCreatorUID = planter.uid()
    image.file_meta.PrivateInformation = (planter.word() + planter.word()).encode()
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.preamble = planter.word().encode().ljust(128, b"\0")


def _item(planter: Planter) -> Dataset:
    item, inner = Dataset(), Dataset()
    inner.PatientName, inner.TextValue, inner.UID = planter.word(), planter.word(), planter.uid()
    item.PersonName, item.Date, item.ReferencedSOPInstanceUID = planter.word(), planter.date(), planter.uid()
    item.ConceptNameCodeSequence = Sequence([inner])
    return item


def compress_with_comment(image: FileDataset, planter: Planter) -> None:
    """Encode the pixels as JPEG Lossless with a comment inside and bytes behind the image."""
    pixels = np.frombuffer(image.PixelData, "<u2").reshape(image.Rows, image.Columns)
    frame = bytes(imagecodecs.ljpeg_encode(np.ascontiguousarray(pixels), bitspersample=16))
    text = planter.word().encode()
    comment = b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text
    tail = (planter.word() + planter.word()).encode()
    image.PixelData = encapsulate([frame[:2] + comment + frame[2:] + tail])
    image["PixelData"].VR, image["PixelData"].is_undefined_length = "OB", True
    image.file_meta.TransferSyntaxUID = JPEGLosslessSV1


def zip_with_identity(files: list[bytes], planter: Planter) -> bytes:
    """A zip whose entries' names and comments, and whose own comment, hold identity."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, data in enumerate(files):
            entry = zipfile.ZipInfo(f"{planter.word()}/{planter.word()}{number}.dcm")
            entry.comment = planter.word().encode()
            archive.writestr(entry, data)
        archive.comment = planter.word().encode()
    return buffer.getvalue()
