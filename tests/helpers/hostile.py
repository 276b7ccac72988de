"""Malformed and hostile bodies of POST /v1/studies, each with its name; made from a good study, the same each time."""

import io
import random
import struct
import warnings
import zipfile
from collections.abc import Iterator
from typing import Any

import pydicom
from pydicom.dataset import Dataset

from tests.helpers.series import make_files, zip_of

ZIP, DICOM = "application/zip", "application/dicom"
Body = tuple[str, str, bytes]
"""Name, content type, body."""

_HEADERS = (b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06")


def hostile_bodies(good: bytes, files: list[bytes]) -> list[Body]:
    """Several hundred bodies.

    Args:
        good: a zip that is answered.
        files: its DICOM files.
    """
    with warnings.catch_warnings():
        # pydicom and zipfile rightly warn of what is written here.
        warnings.simplefilter("ignore")
        return [
            *_cut(good),
            *_flipped(good),
            *_lying_headers(good),
            *_packed(files),
            *_odd_dicom(files),
            *_odd_values(),
            *_multipart(files),
        ]


def _cut(good: bytes) -> Iterator[Body]:
    places = {0, 1, 2, 3, 4, 10, 22, 29, 30, 46, len(good) - 1, len(good) - 22, len(good) - 23}
    for header in _HEADERS:
        place = good.find(header)
        while place >= 0:
            places |= {place, place + 4, place + 12, place + 26}
            place = good.find(header, place + 1)
    chosen = sorted(place for place in places if place < len(good))
    for place in chosen[:: max(1, len(chosen) // 90)]:
        yield f"zip cut at {place}", ZIP, good[:place]
        if place % 3 == 0:
            yield f"zip without its first {place}", ZIP, good[place:]


def _flipped(good: bytes) -> Iterator[Body]:
    chance = random.Random(7)
    for number in range(140):
        changed = bytearray(good)
        for _ in range(chance.choice((1, 1, 2, 8, 64))):
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        yield f"zip with flipped bits {number}", ZIP, bytes(changed)


def _lying_headers(good: bytes) -> Iterator[Body]:
    """Absurd values in the fields of the directory: sizes, methods, offsets, counts, flags."""
    directory, end = good.rfind(_HEADERS[1]), good.rfind(_HEADERS[2])
    for field, size in ((8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2), (42, 4)):
        for value in (0, 1, 0x7FFF, 0xFFFF) if size == 2 else (0, 1, 0x7FFFFFFF, 0xFFFFFFFF):
            changed = bytearray(good)
            changed[directory + field : directory + field + size] = value.to_bytes(size, "little")
            yield f"directory field {field} says {value}", ZIP, bytes(changed)
    for field, size in ((4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)):
        for value in (1, 2 ** (8 * size) - 1):
            changed = bytearray(good)
            changed[end + field : end + field + size] = value.to_bytes(size, "little")
            yield f"end field {field} says {value}", ZIP, bytes(changed)


def _packed(files: list[bytes]) -> Iterator[Body]:
    names = ("../../etc/passwd", "/etc/cron.d/x", "C:\\x", "a/../../b", "x" * 60_000, "\x00", "CON", ".", "..")
    for name in names:
        yield f"named {name[:12]!r}", ZIP, _zip({name: files[0]})
    for level in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        yield f"bomb by method {level}", ZIP, _zip({"bomb": bytes(150_000_000)}, level)
        yield f"files by method {level}", ZIP, _zip({str(n): data for n, data in enumerate(files)}, level)
    nested = _zip({"bomb": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    for depth in range(4):
        nested = _zip({f"level{depth}": nested}, zipfile.ZIP_DEFLATED)
        yield f"nested {depth}", ZIP, nested
    yield "more files than allowed", ZIP, _zip({str(number): b"x" for number in range(6000)})
    yield "many directories", ZIP, _zip({f"{number}/": b"" for number in range(4000)})
    yield "twice the same name", ZIP, _zip_pairs([("a", files[0]), ("a", files[1])])
    yield "twice the same file", ZIP, _zip_pairs([(str(n), data) for n, data in enumerate([*files, files[0]])])
    yield "a zip and more", ZIP, zip_of(files) + b"trailing"
    yield "PK and nothing", ZIP, b"PK"
    yield "PK and zeros", ZIP, b"PK" + bytes(100_000)
    yield "only end record", ZIP, b"PK\x05\x06" + bytes(18)
    yield "directory entries without end", ZIP, b"PK\x01\x02" * 50_000
    for kind in ("", "text/html", "application/x-zip", "image/png", "multipart/", "a" * 5000, "application/zip, x"):
        yield f"type {kind[:20]!r}", kind, zip_of(files)


def _odd_dicom(files: list[bytes]) -> Iterator[Body]:
    """One DICOM file, cut and changed everywhere in its header."""
    data, chance = files[3], random.Random(11)
    header = len(data) - 64 * 64 * 2
    for place in range(0, header, max(1, header // 45)):
        yield f"file cut at {place}", DICOM, data[:place] or b"x"
        changed = [*files]
        changed[3] = data[:place]
        yield f"series with a file cut at {place}", ZIP, zip_of(changed)
    for number in range(120):
        changed = [bytearray(file) for file in files]
        for _ in range(chance.choice((1, 2, 6))):
            changed[chance.randrange(len(files))][chance.randrange(132, header)] = chance.randrange(256)
        yield f"series with changed headers {number}", ZIP, zip_of([bytes(file) for file in changed])


def _odd_values() -> Iterator[Body]:
    """Well-formed DICOM with values that no scanner writes."""

    def every(**values: Any) -> bytes:
        def edit(image: Any, index: int) -> None:
            for name, value in values.items():
                setattr(image, name, value)

        return zip_of(make_files(edit=edit))

    odd: list[dict[str, Any]] = [
        {"Rows": 65535, "Columns": 65535},
        {"Rows": 0},
        {"BitsAllocated": 7},
        {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"},
        {"PixelSpacing": ["0", "0"]},
        {"PixelSpacing": ["1e30", "1e30"]},
        {"PixelSpacing": ["-1", "-1"]},
        {"ImagePositionPatient": ["1e300", "0", "0"]},
        {"ImageOrientationPatient": ["0"] * 6},
        {"RescaleSlope": "0"},
        {"RescaleSlope": "1e30"},
        {"RescaleIntercept": "-1e30"},
        {"NumberOfFrames": "1000000000"},
        {"Modality": "RTSTRUCT"},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.481.3"},
        {"ImageType": ["DERIVED", "SECONDARY", "MPR"]},
        {"PixelData": b""},
        {"PixelData": bytes(2)},
        {"SeriesInstanceUID": "x" * 64},
        {"Manufacturer": "<script>alert(1)</script>" * 100},
        {"ConvolutionKernel": "\\" * 50},
        {"SpecificCharacterSet": "nonsense"},
    ]
    for number, values in enumerate(odd):
        yield f"values {number} {next(iter(values))}", ZIP, every(**values)

    def private(image: Any, index: int) -> None:
        image.add_new(0x00091010, "OB", bytes(300_000))

    def deep(image: Any, index: int) -> None:
        inner = Dataset()
        for _ in range(60):
            outer = Dataset()
            outer.ReferencedStudySequence = [inner]
            inner = outer
        image.ReferencedStudySequence = [inner]

    for name, edit in (("huge private tags", private), ("deep sequences", deep)):
        yield name, ZIP, zip_of(make_files(edit=edit))
    structures = Dataset()
    structures.Modality, structures.SOPClassUID = "RTSTRUCT", "1.2.840.10008.5.1.4.1.1.481.3"
    structures.SOPInstanceUID = "1.2.3"
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, structures, implicit_vr=True, little_endian=True, enforce_file_format=False)
    yield "RT structures alone", ZIP, _zip({"rt": bytes(128) + b"DICM" + buffer.getvalue()})
    for vr in (b"OB", b"UT", b"SQ", b"XX"):
        claims = b"\x08\x00\x05\x00" + vr + b"\x00\x00" + struct.pack("<I", 0xFFFFFFF0)
        yield f"claims 4 GB as {vr.decode()}", DICOM, bytes(128) + b"DICM" + claims


def _multipart(files: list[bytes]) -> Iterator[Body]:
    kind = "multipart/form-data; boundary=b"
    part = b'--b\r\nContent-Disposition: form-data; name="f"; filename="../x"\r\n\r\n' + files[0] + b"\r\n"
    whole = part * 3 + b"--b--\r\n"
    for place in (0, 1, 5, 40, 70, 71, 72, 500, len(part) - 2, len(part), len(whole) - 5, len(whole)):
        yield f"multipart cut at {place}", kind, whole[:place]
    for boundary in ("", "=", "=" + "x" * 300, '="', "=é", "=b; boundary=c"):
        yield f"boundary {boundary[:8]!r}", f"multipart/form-data; boundary{boundary}", whole
    yield "endless part header", kind, b"--b\r\nX: " + b"a" * 500_000
    yield "many part headers", kind, b"--b\r\n" + b"X: a\r\n" * 50_000 + b"\r\nx\r\n--b--\r\n"
    yield "6000 parts", kind, b"--b\r\n\r\nx\r\n" * 6000 + b"--b--\r\n"
    yield "only the end", kind, b"--b--\r\n"


def _zip(entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    return _zip_pairs(list(entries.items()), method)


def _zip_pairs(entries: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in entries:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return buffer.getvalue()
