"""Reports that a client asked for beside the answer: drawn by the worker into a file that nobody else can open."""

import asyncio
import logging
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from covidctnet.report.explain import KINDS, MEDIA_TYPES, ReportKind, write_report
from covidctnet.report.explained import ExplainedStudy
from serving.errors import BadRequestError

_LOG = logging.getLogger(__name__)
_CHUNK = 1 << 20
_ENDINGS: dict[ReportKind, str] = {"png": "png", "html": "html", "volume": "zip"}


@dataclass(frozen=True, kw_only=True)
class Report:
    """A drawn report.

    Attributes:
        kind: of report.
        file: at its beginning; it has no name on disk, and is gone when it is closed.
        size: in bytes.
    """

    kind: ReportKind
    file: IO[bytes]
    size: int

    def headers(self, request_id: str) -> dict[str, str]:
        """Type, length and a file name that tells nothing of the study."""
        place = "attachment" if self.kind == "volume" else "inline"
        return {
            "content-type": MEDIA_TYPES[self.kind],
            "content-length": str(self.size),
            "content-disposition": f'{place}; filename="covidctnet-{request_id}.{_ENDINGS[self.kind]}"',
            "content-security-policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox",
        }

    def chunks(self) -> Iterator[bytes]:
        """The content in pieces."""
        while chunk := self.file.read(_CHUNK):
            yield chunk


class ReportResponse(StreamingResponse):
    """Sends a report and lets go of its file, also where the client goes away in the middle of it, or stops reading.

    Without that the file, of hundreds of megabytes and without a name, stays until memory is next tidied up, or for as
    long as the client likes.

    Args:
        report: what is sent.
        request_id: for its name.
        seconds: that sending may take.
    """

    def __init__(self, report: Report, request_id: str, seconds: float) -> None:
        super().__init__(report.chunks(), headers=report.headers(request_id))
        self._file, self._seconds = report.file, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As every response."""
        try:
            async with asyncio.timeout(self._seconds):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            # Cut off, as the client sees by the length; its file is what matters here.
            _LOG.warning("a report was not taken in time")
        finally:
            self._file.close()


def parse_kind(text: str | None) -> ReportKind | None:
    """The kind of report that a request asks for; None where it asks for none.

    Raises:
        BadRequestError: there is no such kind.
    """
    if text is None:
        return None
    for kind in KINDS:
        if text == kind:
            return kind
    raise BadRequestError(f"report must be one of {', '.join(KINDS)}")


def draw(kind: ReportKind, study: ExplainedStudy, folder: Path) -> Report:
    """Draw a report.

    Args:
        kind: of report.
        study: what to draw.
        folder: of the request; the file outlives it.
    """
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - the response closes it
    try:
        write_report(kind, study, file)
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return Report(kind=kind, file=file, size=size)
