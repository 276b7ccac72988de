"""The data plane that REST and gRPC share: a place to receive, a codec, KServe's data plane, an answer."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import anyio.to_thread
from kserve.protocol.dataplane import DataPlane

from covidctnet.report.explain import ReportKind
from serving.admission import Admission, Job
from serving.errors import BusyError, NotHereError, StoppedError
from serving.settings import ServingSettings
from serving.transformer.codecs import Decoded
from serving.transformer.model import Answered, StudyRequest
from serving.transformer.pair import PairMonitor
from serving.transformer.progress import ProgressBook

Receive = Callable[[Path, Job], Awaitable[Decoded]]
"""Receives and decodes a request into a folder, for a job that may be stopped meanwhile."""

T = TypeVar("T")

Gone = Callable[[], Awaitable[bool]]
"""Whether the client went away; asked only after its request was received."""

_LOOK_SECONDS = 0.2


class StudyPlane:
    """Takes a request from its first byte to its answers.

    Args:
        dataplane: KServe's, with the model registered.
        admission: which study is worked on.
        pair: whether the predictor is the other half.
        settings: limits and times.
        spool: where uploads go while they are worked on.
    """

    def __init__(
        self,
        dataplane: DataPlane,
        *,
        admission: Admission,
        pair: PairMonitor,
        settings: ServingSettings,
        spool: Path,
    ) -> None:
        self.dataplane, self.admission, self.pair, self.settings = dataplane, admission, pair, settings
        self.progress = ProgressBook()
        self._spool = spool
        self._uploads = 0

    async def answer(
        self,
        model: str,
        version: str | None,
        request_id: str,
        receive: Receive,
        *,
        report: ReportKind | None = None,
        seconds: float | None = None,
        gone: Gone | None = None,
    ) -> tuple[list[Answered], Decoded]:
        """Answer for the studies of one request; cancelling it stops the work.

        Args:
            model: as the client names it.
            version: as the client pins it, if so.
            request_id: for answers and logs.
            receive: receives and decodes the request.
            report: to draw beside each answer.
            seconds: the client's own deadline, where it is shorter.
            gone: where the protocol does not cancel the call by itself.

        Raises:
            ServingError, StudyError: every refusal.
        """
        limit = self.settings.admission.request_seconds
        job = Job(request_id, min(limit, seconds) if seconds is not None else limit)
        self.dataplane.get_model_from_registry(model)
        if version not in {None, "", str(self.pair.version)}:
            raise NotHereError(f"version {version} is not served here, but {self.pair.version}")
        await self.pair.require_ready()
        self.admission.require_place()
        async with self._folder() as folder, self.progress.following(job):
            with job.stage("upload"):
                async with self._upload():
                    decoded = await receive(folder, job)
            try:
                answer = self.dataplane.infer(model, StudyRequest(studies=decoded.studies, job=job, report=report))
                answered, _ = await (answer if gone is None else while_connected(answer, job, gone))
            finally:
                job.stop()
        return answered, decoded

    @asynccontextmanager
    async def _folder(self) -> AsyncIterator[Path]:
        folder = Path(await anyio.to_thread.run_sync(tempfile.mkdtemp, "", "study-", str(self._spool)))
        try:
            yield folder
        finally:
            # Also after a cancellation: nothing of a study stays on disk.
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))

    @asynccontextmanager
    async def _upload(self) -> AsyncIterator[None]:
        limit = self.settings.upload.max_uploads
        if self._uploads >= limit:
            raise BusyError(f"{limit} studies are being received; send the study again later", retry_after=2)
        self._uploads += 1
        try:
            yield
        finally:
            self._uploads -= 1


async def while_connected(answer: Awaitable[T], job: Job, gone: Gone) -> T:
    """Wait for an answer; stop the work where the client goes away.

    Args:
        answer: what is waited for.
        job: is stopped.
        gone: whether the client went away.

    Raises:
        StoppedError: the client went away.
    """
    task = asyncio.ensure_future(answer)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_LOOK_SECONDS)
            if not task.done() and await gone():
                raise StoppedError("the client went away")
        return task.result()
    finally:
        if not task.done():
            job.stop()
            task.cancel()
            await asyncio.wait({task})
        if not task.cancelled():
            # Looked at: asyncio would else log it with its message, which may quote the study.
            task.exception()
