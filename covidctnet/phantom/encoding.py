"""Pixels of a CT image in the transfer syntaxes that scanners and archives use."""

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

Pixels = NDArray[np.int16 | np.uint16]
"""Stored values of one image, axes (row, column)."""


def set_pixel_data(image: Dataset, pixels: Pixels, transfer_syntax: str) -> None:
    """Set PixelData in a transfer syntax; one that is not compressed is written as it is.

    Args:
        image: receives the element.
        pixels: stored values.
        transfer_syntax: UID.
    """
    plain = np.ascontiguousarray(pixels)
    frame = _compress(plain, transfer_syntax)
    if frame is None:
        image.PixelData = plain.astype(plain.dtype.newbyteorder("<")).tobytes()
        image["PixelData"].VR = "OW"
    else:
        image.PixelData = encapsulate([frame])
        image["PixelData"].VR = "OB"
        image["PixelData"].is_undefined_length = True


def _compress(plain: Pixels, transfer_syntax: str) -> bytes | None:
    if transfer_syntax == JPEGLosslessSV1:
        return bytes(imagecodecs.ljpeg_encode(plain.view(np.uint16), bitspersample=16))
    if transfer_syntax == JPEGLSLossless:
        return bytes(imagecodecs.jpegls_encode(plain.view(np.uint16)))
    if transfer_syntax == JPEG2000Lossless:
        return bytes(imagecodecs.jpeg2k_encode(plain, level=0, codecformat="j2k", reversible=True))
    if transfer_syntax == RLELossless:
        return _run_lengths(plain)
    return None


def _run_lengths(plain: Pixels) -> bytes:
    """A frame in RLE (PS3.5 Annex G): high bytes and low bytes apart, each row packed by itself."""
    segments = []
    for part in (plain.view(np.uint16) >> 8, plain.view(np.uint16) & 0xFF):
        segment = b"".join(imagecodecs.packbits_encode(row.tobytes()) for row in part.astype(np.uint8))
        segments.append(segment + b"\0" * (len(segment) % 2))
    header = np.zeros(16, "<u4")
    header[:3] = len(segments), header.nbytes, header.nbytes + len(segments[0])
    return header.tobytes() + b"".join(segments)
