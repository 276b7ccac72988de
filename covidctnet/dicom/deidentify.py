"""A CT image without its patient: a new header of allowed attributes with allowed values, nothing else.

Follows the Basic Application Level Confidentiality Profile of DICOM PS3.15 Annex E with the options Clean
Descriptors, Retain Longitudinal Temporal Information with Modified Dates and, where asked for, Retain Patient
Characteristics. Nothing is removed from a header: what is not on the list is never written (docs/adr/0011).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage

from covidctnet.dicom.headers import Slice
from covidctnet.dicom.vocabulary import Vocabulary
from covidctnet.errors import IdentifiableImageError, UnsuitableSeriesError
from covidctnet.pseudonyms import Pseudonym

_PIXELS = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "PixelRepresentation")
_DATES = ("StudyDate", "AcquisitionDate")
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
_UID = re.compile(r"[0-9a-f.-]{16,64}", re.IGNORECASE)
_AGE = re.compile(r"(\d{3})([DWMY])")
_OLDEST_YEARS = 90
_CHARACTERISTICS = ("PatientSex",)

_METHODS = {
    "113100": "Basic Application Confidentiality Profile",
    "113105": "Clean Descriptors Option",
    "113107": "Retain Longitudinal Temporal Information Modified Dates Option",
    "113108": "Retain Patient Characteristics Option",
}
"""Codes of DICOM PS3.16 CID 7050, De-identification Method."""


@dataclass(frozen=True, kw_only=True)
class Deidentifier:
    """How images of a cohort are de-identified.

    Attributes:
        vocabulary: what may be said.
        keep_characteristics: keep age, 90 years at most, and sex.
    """

    vocabulary: Vocabulary
    keep_characteristics: bool = False

    def clean(self, image: Slice, pseudonym: Pseudonym) -> Slice:
        """The image under a header that says nothing of the patient; its pixels are those that came.

        Raises:
            IdentifiableImageError: the header says that the image itself shows the patient's identity.
            UnsuitableSeriesError: the pixels mean something that is not in the vocabulary.
        """
        _refuse_visible_identity(image)
        source = image.dataset
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.TransferSyntaxUID = source.file_meta.TransferSyntaxUID
        new = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        new.SOPClassUID, new.Modality = CTImageStorage, "CT"
        for keyword in _UIDS:
            value = image.text(keyword)
            # What is no identifier stays empty, so that series are told apart as they are at the source.
            setattr(new, keyword, pseudonym.uid(keyword, value) if _UID.fullmatch(value) else "")
        for keyword in _DATES:
            moved = pseudonym.shift(image.text(keyword))
            if moved:
                setattr(new, keyword, moved)
        for keyword in _PIXELS:
            if isinstance(source.get(keyword), int):
                new.add_new(keyword, "US", int(source[keyword].value))
        self._copy_allowed(image, new)
        self._say_how(new, pseudonym)
        if image.text("BurnedInAnnotation").upper() == "NO":
            new.BurnedInAnnotation = "NO"
        pixels = source["PixelData"]
        new["PixelData"] = DataElement(pixels.tag, pixels.VR, pixels.value)
        new["PixelData"].is_undefined_length = pixels.is_undefined_length
        return replace(image, dataset=new)

    def dropped_texts(self, image: Slice) -> tuple[str, ...]:
        """Keywords of the device's description that the header holds and the vocabulary does not allow."""
        return tuple(
            keyword
            for keyword in self.vocabulary.texts
            if image.text(keyword) and self._allowed(keyword, image.dataset.get(keyword)) is None
        )

    def _copy_allowed(self, image: Slice, new: Dataset) -> None:
        for keyword in self.vocabulary.keywords:
            if keyword in _CHARACTERISTICS and not self.keep_characteristics:
                continue
            allowed = self._allowed(keyword, image.dataset.get(keyword))
            if allowed is None:
                if keyword in self.vocabulary.decisive and image.text(keyword):
                    raise UnsuitableSeriesError(f"{image.place} has a {keyword} that no CT image in HU has")
                continue
            if keyword == "PixelPaddingValue":
                value = int(float(allowed[0]))
                new.add_new(keyword, "SS" if -32768 <= value < 0 else "US", value % 65536 if value >= 0 else value)
            else:
                setattr(new, keyword, allowed if len(allowed) > 1 else allowed[0])
        if self.keep_characteristics:
            age = _AGE.fullmatch(image.text("PatientAge"))
            if age:
                oldest = age.group(2) == "Y" and int(age.group(1)) >= _OLDEST_YEARS
                new.PatientAge = f"{_OLDEST_YEARS:03d}Y" if oldest else age.group()

    def _allowed(self, keyword: str, value: Any) -> list[str] | None:
        """All values of an attribute; None where one of them is not allowed, but image types stay one by one."""
        if value is None:
            return None
        values = [str(part) for part in value] if isinstance(value, MultiValue | list | tuple) else [str(value)]
        cleaned = [self.vocabulary.clean(keyword, part) for part in values]
        if keyword == "ImageType":
            cleaned = [part for part in cleaned if part is not None]
        kept = [part for part in cleaned if part is not None]
        return kept if kept and len(kept) == len(cleaned) else None

    def _say_how(self, new: Dataset, pseudonym: Pseudonym) -> None:
        new.PatientID, new.PatientName = pseudonym.patient, ""
        new.PatientIdentityRemoved = "YES"
        codes = [code for code in _METHODS if code != "113108" or self.keep_characteristics]
        new.DeidentificationMethod = "new header of allowed attributes and values"
        new.DeidentificationMethodCodeSequence = Sequence(_code(code) for code in codes)
        dated = any(keyword in new for keyword in _DATES)
        new.LongitudinalTemporalInformationModified = "MODIFIED" if dated else "REMOVED"


def clean_all(slices: Iterable[Slice], deidentifier: Deidentifier, pseudonym: Pseudonym) -> list[Slice]:
    """Every image under a new header; arguments and errors as for `Deidentifier.clean`."""
    return [deidentifier.clean(image, pseudonym) for image in slices]


def _refuse_visible_identity(image: Slice) -> None:
    if image.text("BurnedInAnnotation").upper() == "YES":
        raise IdentifiableImageError(
            f"{image.place} says that text is burned into the image (BurnedInAnnotation); send images without it"
        )
    if image.text("RecognizableVisualFeatures").upper() == "YES":
        raise IdentifiableImageError(
            f"{image.place} says that the patient can be recognised in it (RecognizableVisualFeatures)"
        )


def _code(value: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", _METHODS[value]
    return code
