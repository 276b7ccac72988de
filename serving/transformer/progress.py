"""How far a request is, for whoever sent it and knows its id."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter

from serving.admission import Job
from serving.errors import NotHereError
from serving.transformer.edge import choose_request_id
from serving.transformer.openapi import refusals


class ProgressBook:
    """The jobs that are being worked on, in the order in which they came."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}

    @asynccontextmanager
    async def following(self, job: Job) -> AsyncIterator[None]:
        """Tell of a job while it lasts."""
        self._jobs[job.request_id] = job
        try:
            yield
        finally:
            # Another request may have come under the same id since.
            if self._jobs.get(job.request_id) is job:
                del self._jobs[job.request_id]

    def to_document(self, request_id: str) -> dict[str, Any]:
        """Where a request is: its stage, the share of the stage that is done, how many come before it in the queue.

        Raises:
            NotHereError: no such request is being worked on.
        """
        job = self._jobs.get(request_id)
        if job is None:
            raise NotHereError("no request of this id is being worked on")
        stage, share = job.progress
        document: dict[str, Any] = {"stage": stage, "share": share}
        if stage == "queue":
            earlier = itertools.takewhile(lambda one: one is not job, self._jobs.values())
            document["ahead"] = sum(one.progress[0] == "queue" for one in earlier)
        return document


def progress_routes(book: ProgressBook) -> APIRouter:
    """The route that tells how far a request is."""
    router = APIRouter(responses=refusals("401", "404"))

    @router.get("/v1/progress/{request_id}", tags=["plain"], summary="How far a study is, by its X-Request-ID")
    async def progress(request_id: str) -> dict[str, Any]:
        return book.to_document(choose_request_id(request_id))

    return router
