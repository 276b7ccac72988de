"""Bodies go to disk while they arrive, within limits of size, number and time."""

import asyncio
import email.message
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, BinaryIO

import anyio.to_thread
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser
from starlette.requests import ClientDisconnect, Request

from serving.errors import BadRequestError, StoppedError, TooLargeError, UploadTimeoutError, WrongTypeError
from serving.settings import UploadSettings
from serving.transformer.codecs import Decoded
from serving.transformer.codecs.archives import is_zip, require_zip

_CHUNK = 1 << 20


def content_type(request: Request) -> email.message.Message:
    """The Content-Type header, parsed: `get_content_type()` and `get_param()`."""
    message = email.message.Message()
    message["content-type"] = request.headers.get("content-type", "")
    return message


async def receive_body(request: Request, path: Path, limits: UploadSettings, *, most: int | None = None) -> None:
    """Write a request's body to a file.

    Args:
        request: whose body has not been read.
        path: of the file.
        limits: bound size and time.
        most: bytes, where it is less than `max_body_bytes`.

    Raises:
        TooLargeError, UploadTimeoutError, StoppedError: see `_chunks`.
        BadRequestError: it is empty.
    """
    with await anyio.to_thread.run_sync(path.open, "wb") as file:
        size = 0
        async for chunk in _chunks(request, limits, min(limits.max_body_bytes, most or limits.max_body_bytes)):
            size += len(chunk)
            await anyio.to_thread.run_sync(file.write, chunk)
    if size == 0:
        raise BadRequestError("the body is empty; send a study")


async def receive_parts(request: Request, folder: Path, limits: UploadSettings) -> Decoded:
    """Write the parts of a multipart body to numbered files; the names that the client gave are not looked at.

    Raises:
        BadRequestError: it is no well-formed multipart body, or holds no part.
        TooLargeError: more parts or bytes than the limits allow.
    """
    boundary = content_type(request).get_param("boundary")
    if not isinstance(boundary, str) or not 0 < len(boundary) <= 200 or not boundary.isascii():
        raise BadRequestError("the multipart content type names no boundary")
    folder.mkdir()
    writer = PartWriter(folder, limits.max_files)
    try:
        parser = MultipartParser(boundary.encode(), writer.callbacks)
        async for chunk in _chunks(request, limits, limits.max_body_bytes):
            await anyio.to_thread.run_sync(parser.write, chunk)
    except MultipartParseError:
        raise BadRequestError("the multipart body is malformed") from None
    finally:
        writer.close()
    if not writer.complete:
        raise BadRequestError("the multipart body is cut off: its closing boundary is missing")
    if writer.count == 0:
        raise BadRequestError("the multipart body holds no part; send the DICOM files of a series")
    return Decoded(studies=(await anyio.to_thread.run_sync(_study_of_parts, folder, limits),))


async def receive_study(request: Request, folder: Path, limits: UploadSettings) -> Decoded:
    """The plain way: a zip or a DICOM file as the body, or DICOM files as parts.

    Raises:
        WrongTypeError: another content type.
        ServingError: as `receive_body` and `receive_parts`.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in {"multipart/form-data", "multipart/related"}:
        return await receive_parts(request, folder / "parts", limits)
    path = folder / "study"
    if kind == "application/zip":
        await receive_body(request, path, limits)
        await anyio.to_thread.run_sync(require_zip, path, limits)
    elif kind == "application/dicom":
        await receive_body(request, path, limits)
        if is_zip(path):
            raise BadRequestError("the body is a zip; send it as application/zip")
    else:
        raise WrongTypeError("send application/zip, application/dicom or multipart/form-data")
    return Decoded(studies=(path,))


async def _chunks(request: Request, limits: UploadSettings, most: int) -> AsyncIterator[bytes]:
    """The body in large pieces.

    Raises:
        TooLargeError: it is, or claims to be, longer than `most` bytes.
        UploadTimeoutError: it did not arrive within `seconds`.
        StoppedError: the client went away.
    """
    claimed = request.headers.get("content-length", "")
    if claimed.isdecimal() and int(claimed) > most:
        raise _too_large(most)
    size, kept, parts = 0, 0, []
    stream = request.stream()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limits.seconds
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                piece = await anext(stream, None)
        except TimeoutError:
            raise UploadTimeoutError(f"the body took longer than {limits.seconds:.0f} s (upload.seconds)") from None
        except ClientDisconnect:
            raise StoppedError("the client went away while it sent the study") from None
        if piece is not None:
            size, kept = size + len(piece), kept + len(piece)
            parts.append(piece)
            if size > most:
                raise _too_large(most)
        if parts and (kept >= _CHUNK or piece is None):
            yield b"".join(parts)
            parts, kept = [], 0
        if piece is None:
            return


def _too_large(most: int) -> TooLargeError:
    return TooLargeError(
        f"the body is longer than {most / 1e6:.0f} MB (upload.max_body_bytes, for JSON upload.max_json_bytes); "
        "send one series, and a large one as application/zip"
    )


def _study_of_parts(folder: Path, limits: UploadSettings) -> Path:
    parts = sorted(folder.iterdir())
    zips = [path for path in parts if is_zip(path)]
    if not zips:
        return folder
    if len(parts) > 1:
        raise BadRequestError("send one zip, or DICOM files, not both")
    require_zip(zips[0], limits)
    return zips[0]


class PartWriter:
    """Callbacks of the multipart parser that write each part to a file of its own."""

    def __init__(self, folder: Path, max_files: int) -> None:
        self._folder, self._max_files = folder, max_files
        self._file: BinaryIO | None = None
        self.count, self.complete = 0, False
        self.callbacks: Any = {
            "on_part_begin": self._begin,
            "on_part_data": self._write,
            "on_part_end": self.close,
            "on_end": self._end,
        }

    def close(self) -> None:
        """End the part that is being written."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> None:
        if self.count == self._max_files:
            raise TooLargeError(f"there are more than {self._max_files} files (upload.max_files); send one series")
        self._file = (self._folder / f"{self.count:06d}").open("wb")
        self.count += 1

    def _write(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])

    def _end(self) -> None:
        self.complete = True
