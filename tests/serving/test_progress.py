"""How far a study is, asked while it is worked on."""

import asyncio
import threading
import uuid

import httpx
import pytest

from serving.admission import Job
from serving.errors import NotHereError
from serving.transformer.progress import ProgressBook
from tests.helpers.serving import ZIP, Process
from tests.serving.conftest import Known

ORDER = ["upload", "queue", "read", "preprocess", "denoise", "classify", "measure", "report"]


def test_stages_come_in_their_order_and_end_with_the_request(server: Process, studies: list[Known]) -> None:
    identifier = str(uuid.uuid4())
    address = f"{server.http}/v1/progress/{identifier.upper()}"
    assert httpx.get(address).status_code == 404
    answers: list[httpx.Response] = []
    # With a report, which takes long enough to be asked about on any machine.
    url, headers = f"{server.http}/v1/studies?report=png", ZIP | {"x-request-id": identifier}
    asking = threading.Thread(
        target=lambda: answers.append(httpx.post(url, content=studies[2].data, headers=headers, timeout=60))
    )
    seen = []
    with httpx.Client() as client:
        asking.start()
        while asking.is_alive():
            response = client.get(address)
            if response.status_code == 200:
                seen.append(response.json())
    asking.join()
    assert answers[0].status_code == 200
    stages = [at["stage"] for at in seen]
    assert stages
    assert [ORDER.index(stage) for stage in stages] == sorted(ORDER.index(stage) for stage in stages)
    shares = [at["share"] for at in seen if at["stage"] == "denoise" and at["share"] is not None]
    assert all(0.0 < share <= 1.0 for share in shares)
    assert httpx.get(address).status_code == 404


def test_a_waiting_job_knows_how_many_wait_before_it() -> None:
    async def follow() -> None:
        book, jobs = ProgressBook(), [Job(str(number), 60.0) for number in range(3)]
        async with book.following(jobs[0]), book.following(jobs[1]), book.following(jobs[2]):
            jobs[0].enter("denoise", 0.5)
            jobs[1].enter("queue")
            jobs[2].enter("queue")
            assert book.to_document("0") == {"stage": "denoise", "share": 0.5}
            assert book.to_document("1") == {"stage": "queue", "share": None, "ahead": 0}
            assert book.to_document("2") == {"stage": "queue", "share": None, "ahead": 1}
        with pytest.raises(NotHereError, match="no request of this id"):
            book.to_document("2")

    asyncio.run(follow())


def test_the_latest_of_two_requests_under_one_id_is_followed() -> None:
    async def follow() -> None:
        book, first, second = ProgressBook(), Job("same", 60.0), Job("same", 60.0)
        async with book.following(first):
            first.enter("read")
            async with book.following(second):
                assert book.to_document("same")["stage"] == "upload"
            with pytest.raises(NotHereError):
                book.to_document("same")

    asyncio.run(follow())
