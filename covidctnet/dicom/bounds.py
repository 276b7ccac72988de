"""Look at what compressed data claims before a decoder believes it and takes that much memory."""

import struct
import zlib

from pydicom.uid import DeflatedExplicitVRLittleEndian

from covidctnet.errors import UnreadableFileError

_JPEG_START, _JPEG2000_START = b"\xff\xd8", b"\xff\x4f\xff\x51"
_NO_LENGTH = {0x01, *range(0xD0, 0xD9)}
_NOT_A_FRAME = {0xC4, 0xC8, 0xCC}
_META_LENGTH = slice(132, 144)


def codestream_shape(frame: bytes) -> tuple[int, int] | None:
    """(rows, columns) that a JPEG, JPEG-LS or JPEG 2000 codestream claims; None where it holds no header.

    Source: ITU-T T.81 B.2.2 (SOFn), T.87 C.2.2 (SOF55), T.800 A.5.1 (SIZ).
    """
    if frame[:2] == _JPEG_START:
        return _jpeg_shape(frame)
    start = frame.find(_JPEG2000_START, 0, 4096)
    if start < 0 or len(frame) < start + 24:
        return None
    width, height, left, top = struct.unpack_from(">4I", frame, start + 8)
    return height - top, width - left


def _jpeg_shape(frame: bytes) -> tuple[int, int] | None:
    place = 2
    while place + 9 <= len(frame) and frame[place] == 0xFF:
        marker = frame[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        if marker in _NO_LENGTH:
            place += 2
            continue
        if (0xC0 <= marker <= 0xCF and marker not in _NOT_A_FRAME) or marker == 0xF7:
            rows, columns = struct.unpack_from(">2H", frame, place + 5)
            return rows, columns
        place += 2 + struct.unpack_from(">H", frame, place + 2)[0]
    return None


def require_bounded_deflate(data: bytes, limit: int, place: str) -> None:
    """Refuse a deflated DICOM file that expands to more than `limit` bytes.

    Raises:
        UnreadableFileError: it does.
    """
    tag, kind, _, length = struct.unpack_from("<4s2sHI", data[_META_LENGTH].ljust(12, b"\0"))
    if (tag, kind) != (b"\x02\x00\x00\x00", b"UL"):
        return
    start = 144 + length
    if DeflatedExplicitVRLittleEndian.encode() not in data[144:start]:
        return
    inflater, size, rest = zlib.decompressobj(-zlib.MAX_WBITS), 0, data[start:]
    try:
        while rest and not inflater.eof:
            size += len(inflater.decompress(rest, 1 << 20))
            rest = inflater.unconsumed_tail
            if size > limit:
                raise UnreadableFileError(f"{place} expands to more than {limit / 1e6:.0f} MB; send it uncompressed")
    except zlib.error:
        return
