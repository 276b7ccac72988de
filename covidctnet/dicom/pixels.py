"""Pixel data to Hounsfield units."""

import re
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import generate_frames
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)  # fmt: skip

from covidctnet.dicom.bounds import codestream_shape
from covidctnet.dicom.headers import Slice
from covidctnet.errors import UnreadableFileError
from covidctnet.parallel import map_on_cores
from covidctnet.volume import HUArray

AIR_HU = -1000.0
LOWEST_HU = -1024.0

_HOUNSFIELD = {"", "HU", "US"}
"""Values of RescaleType that stand for Hounsfield units in a CT image; US is "unspecified" (PS3.3 C.11.1.1.2)."""

_NATIVE = {
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
}
_DECODERS: dict[str, Callable[[bytes], Any]] = {
    JPEGBaseline8Bit: imagecodecs.jpeg8_decode,
    JPEGExtended12Bit: imagecodecs.jpeg8_decode,
    JPEGLossless: imagecodecs.ljpeg_decode,
    JPEGLosslessSV1: imagecodecs.ljpeg_decode,
    JPEGLSLossless: imagecodecs.jpegls_decode,
    JPEGLSNearLossless: imagecodecs.jpegls_decode,
    JPEG2000Lossless: imagecodecs.jpeg2k_decode,
    JPEG2000: imagecodecs.jpeg2k_decode,
}


def decode_series(slices: list[Slice]) -> HUArray:
    """Decode slices on all cores; axes (slice, row, column), float32 Hounsfield units.

    Raises:
        UnreadableFileError: a slice is cut off, cannot be decoded, or lacks slope and intercept.
    """
    rows, columns = int(slices[0].dataset.Rows), int(slices[0].dataset.Columns)
    volume = np.empty((len(slices), rows, columns), np.float32)

    def decode(index: int) -> None:
        volume[index] = decode_slice(slices[index])

    map_on_cores(decode, range(len(slices)))
    return volume


def decode_slice(image: Slice) -> HUArray:
    """Hounsfield units of one image, float32, axes (row, column).

    Pixels at the padding value, whatever its sign, become air; nothing is below -1024 HU.
    """
    raw = stored_values(image)
    slope, intercept = image.number("RescaleSlope"), image.number("RescaleIntercept")
    unit = image.text("RescaleType").upper()
    if unit not in _HOUNSFIELD:
        # Free text is not repeated: it might be about the patient.
        named = unit if re.fullmatch(r"[A-Z_]{1,8}", unit) else "another quantity"
        raise UnreadableFileError(f"{image.place} holds {named} by its RescaleType, not Hounsfield units")
    if slope is None or intercept is None or slope == 0:
        raise UnreadableFileError(f"{image.place} has no rescale slope and intercept: its Hounsfield units are unknown")
    hu = raw.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    padding = image.number("PixelPaddingValue")
    if padding is not None:
        # Scanners write a signed value into an unsigned field and the other way round.
        hu[(raw == padding) | (raw == padding - 65536) | (raw == padding + 65536)] = AIR_HU
    np.maximum(hu, np.float32(LOWEST_HU), out=hu)
    return hu


def stored_values(image: Slice) -> NDArray[np.int32]:
    """Values of one image as its header's slope and intercept take them, int32, axes (row, column).

    Raises:
        UnreadableFileError: the image is cut off, in colour or cannot be decoded.
    """
    dataset = image.dataset
    syntax = dataset.file_meta.TransferSyntaxUID
    shape = int(dataset.Rows), int(dataset.Columns)
    # MONOCHROME1 only asks viewers to draw inverted: its values are Hounsfield units all the same.
    colour = image.text("PhotometricInterpretation") not in {"", "MONOCHROME1", "MONOCHROME2"}
    if colour or dataset.get("SamplesPerPixel", 1) != 1:
        raise UnreadableFileError(f"{image.place} is a colour image, not a CT slice")
    try:
        values = _native_values(image, shape) if syntax in _NATIVE else _decoded_values(image, shape)
    except UnreadableFileError:
        raise
    except KeyError:
        raise UnreadableFileError(
            f"{image.place} is encoded as {syntax.name} ({syntax}), which cannot be decoded; send it uncompressed"
        ) from None
    except Exception as error:  # noqa: BLE001 - decoders raise whatever damaged data leads to
        raise UnreadableFileError(f"{image.place} cannot be decoded ({type(error).__name__}); send it again") from None
    if values.shape != shape:
        raise UnreadableFileError(f"{image.place} decodes to {values.shape} pixels, but its header says {shape}")
    return _significant_bits(values, int(dataset.get("BitsStored", 16)), bool(dataset.get("PixelRepresentation", 0)))


def _native_values(image: Slice, shape: tuple[int, int]) -> NDArray[np.int32]:
    dataset = image.dataset
    order = ">" if dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian else "<"
    data: bytes = dataset.PixelData
    values = np.frombuffer(data, f"{order}u{int(dataset.BitsAllocated) // 8}", count=shape[0] * shape[1])
    return values.reshape(shape).astype(np.int64).astype(np.int32)


def _decoded_values(image: Slice, shape: tuple[int, int]) -> NDArray[np.int32]:
    dataset = image.dataset
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax == RLELossless:
        return np.asarray(dataset.pixel_array).astype(np.int32)
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    claimed = codestream_shape(frame)
    if claimed not in (None, shape):
        raise UnreadableFileError(f"{image.place} claims {claimed} pixels in its data and {shape} in its header")
    return np.asarray(_DECODERS[syntax](frame)).astype(np.int32)


def _significant_bits(values: NDArray[np.int32], stored: int, signed: bool) -> NDArray[np.int32]:
    if not 1 <= stored < 32:
        return values
    # Bits above BitsStored may hold overlays or a copy of the sign.
    values = values & np.int32((1 << stored) - 1)
    if signed:
        sign = np.int32(1 << (stored - 1))
        values = (values ^ sign) - sign
    return values
