"""Enhanced multi-frame CT as single images, so that all rules see one kind of slice."""

import copy
from collections.abc import Iterator

from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate, generate_frames

from covidctnet.config import ReaderConfig
from covidctnet.errors import UnreadableFileError, UnsuitableSeriesError

_SHARED, _PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"

_NOT_OF_ONE_FRAME = {_SHARED, _PER_FRAME, "PixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"}


def split_frames(dataset: FileDataset, place: str, config: ReaderConfig) -> list[FileDataset]:
    """The frames of a CT object as images of their own; a single image comes back as it is.

    Attributes of the shared and the per-frame functional groups are lifted to the top of each image, the
    frame's own over the shared ones.

    Source: DICOM PS3.3 C.7.6.16, Multi-frame Functional Groups.

    Raises:
        UnsuitableSeriesError: a classic object has several frames, whose positions no attribute tells.
        UnreadableFileError: frames, functional groups and pixels do not agree in number.
    """
    frames = _count(dataset, place)
    if _PER_FRAME not in dataset:
        if frames > 1:
            raise UnsuitableSeriesError(f"{place} holds {frames} frames without their positions; export single images")
        return [dataset]
    if not 1 <= frames <= config.max_slices:
        raise UnreadableFileError(f"{place} claims {frames} frames, not 1 to {config.max_slices} (reader.max_slices)")
    groups = dataset.get(_PER_FRAME) or ()
    if len(groups) != frames:
        raise UnreadableFileError(f"{place} claims {frames} frames and describes {len(groups)}; send it again")
    shared = next(iter(dataset.get(_SHARED) or ()), Dataset())
    images = []
    for group, pixels in zip(groups, _pixels(dataset, frames, place), strict=True):
        image = _header(dataset)
        _lift(shared, image)
        _lift(group, image)
        image.PixelData, image.NumberOfFrames = pixels, 1
        images.append(image)
    return images


def _count(dataset: Dataset, place: str) -> int:
    try:
        return int(dataset.get("NumberOfFrames") or 1)
    except (TypeError, ValueError):
        raise UnreadableFileError(f"{place} has a malformed number of frames; send it again") from None


def _header(dataset: FileDataset) -> FileDataset:
    image = FileDataset("", {}, file_meta=copy.copy(dataset.file_meta), preamble=dataset.preamble)
    for element in dataset:
        if element.keyword not in _NOT_OF_ONE_FRAME:
            image.add(element)
    return image


def _lift(group: Dataset, image: FileDataset) -> None:
    for macro in group:
        if macro.VR != "SQ" or not macro.value:
            continue
        for element in macro.value[0]:
            image.add(element)
            if element.keyword == "FrameType":
                image.ImageType = element.value


def _pixels(dataset: FileDataset, frames: int, place: str) -> Iterator[bytes]:
    data: bytes = dataset.get("PixelData") or b""
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        table = dataset.get("ExtendedOffsetTable")
        lengths = dataset.get("ExtendedOffsetTableLengths")
        extended = (table, lengths) if table and lengths else None
        found = [encapsulate([frame]) for frame in generate_frames(data, number_of_frames=frames,
                                                                   extended_offsets=extended)]  # fmt: skip
    else:
        size = int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("BitsAllocated", 16)) // 8
        whole = min(len(data) // size, frames) if size else 0
        found = [data[index * size : (index + 1) * size] for index in range(whole)]
    if len(found) != frames:
        raise UnreadableFileError(f"{place} claims {frames} frames and holds {len(found)}; send it again")
    yield from found
