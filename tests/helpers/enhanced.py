"""One enhanced multi-frame CT object from the single images of `tests.helpers.series`."""

import io

import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedCTImageStorage, RLELossless

_SHARED = {"PixelMeasuresSequence": ("PixelSpacing", "SliceThickness"),
           "PlaneOrientationSequence": ("ImageOrientationPatient",),
           "CTReconstructionSequence": ("ConvolutionKernel",)}  # fmt: skip
_OWN = {"PlanePositionSequence": ("ImagePositionPatient",),
        "PixelValueTransformationSequence": ("RescaleIntercept", "RescaleSlope")}  # fmt: skip


def make_enhanced(files: list[bytes], *, rle: bool = False) -> bytes:
    """The images of one series as the frames of one object, in their order."""
    images = [pydicom.dcmread(io.BytesIO(data)) for data in files]
    first = images[0]
    pixels = [image.PixelData for image in images]
    if rle:
        for image in images:
            image.compress(RLELossless)
        frames = [next(pydicom.encaps.generate_frames(image.PixelData, number_of_frames=1)) for image in images]
    first.SOPClassUID = first.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    first.NumberOfFrames = len(images)
    first.SharedFunctionalGroupsSequence = Sequence([_groups(first, _SHARED)])
    frame_type = Dataset()
    frame_type.FrameType = list(first.ImageType)
    first.SharedFunctionalGroupsSequence[0].CTImageFrameTypeSequence = Sequence([frame_type])
    first.PerFrameFunctionalGroupsSequence = Sequence([_groups(image, _OWN) for image in images])
    for keyword in sum((*_SHARED.values(), *_OWN.values()), ()):
        del first[keyword]
    if rle:
        first.PixelData = encapsulate(frames)
        first.file_meta.TransferSyntaxUID = RLELossless
    else:
        first.PixelData = b"".join(pixels)
    buffer = io.BytesIO()
    first.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _groups(image: Dataset, macros: dict[str, tuple[str, ...]]) -> Dataset:
    group = Dataset()
    for macro, keywords in macros.items():
        item = Dataset()
        for keyword in keywords:
            item[keyword] = image[keyword]
        setattr(group, macro, Sequence([item]))
    return group
