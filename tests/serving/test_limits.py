"""What a transformer takes in at most: from whom, how much, how long and how many at once."""

import contextlib
import io
import json
import re
import socket
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from tests.helpers.refusals import ask_grpc, refusal
from tests.helpers.series import zip_of
from tests.helpers.serving import Process, is_ready, post
from tests.serving.conftest import TOKEN, Known
from tests.serving.test_parity import assert_same

BEARER = {"authorization": f"Bearer {TOKEN}"}


def memory_mb(server: Process) -> float:
    """The most that a server ever took."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{server.popen.pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1e3


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells memory as Linux does")
def test_without_a_token_no_large_message_and_no_endless_headers_are_taken_in(strict: Process) -> None:
    before = memory_mb(strict)
    error = ask_grpc(strict, model_name="covidctnet", raw_input_contents=[bytes(100_000_000)])
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert set(json.loads(error.details())) == {"code", "message", "detail", "request_id"}
    with socket.create_connection(("127.0.0.1", strict.ports["http"]), timeout=30) as client:
        reply = b""
        with contextlib.suppress(ConnectionError):
            client.sendall(b"POST /v1/studies HTTP/1.1\r\nhost: 127.0.0.1\r\n")
            client.sendall(b"".join(b"x-%d: %s\r\n" % (number, b"y" * 1000) for number in range(50_000)) + b"\r\n")
            reply = client.recv(100)
    assert reply == b"" or reply.startswith(b"HTTP/1.1 400")
    assert memory_mb(strict) - before < 40


def test_only_health_is_told_without_a_token(strict: Process, studies: list[Known]) -> None:
    assert is_ready(strict)
    for path in ("/metrics", "/v1/drift", "/v2", "/openapi.json", "/v1/models"):
        response = httpx.get(strict.http + path)
        refusal(response, 401, "unauthenticated")
        assert response.headers["www-authenticate"] == "Bearer"
        assert httpx.get(strict.http + path, headers=BEARER).status_code == 200
    refusal(post(strict, studies[0].data), 401, "unauthenticated")
    refusal(post(strict, studies[0].data, headers={"authorization": "Bearer guess"}), 401, "unauthenticated")
    assert_same(post(strict, studies[0].data, headers=BEARER).json(), studies[0].answer)


def test_limits_hold_whatever_a_request_claims(strict: Process) -> None:
    def send(body: Any, kind: str = "application/zip") -> httpx.Response:
        headers = BEARER | {"content-type": kind}
        return httpx.post(f"{strict.http}/v1/studies", content=body, headers=headers, timeout=60)

    assert "longer than 2 MB" in refusal(send(b"PK" + bytes(2_500_000)), 413, "too_large")
    assert "longer than 2 MB" in refusal(send(b"PK" + bytes(100_000) for _ in range(30)), 413, "too_large")
    for path in ("v1/models/covidctnet:predict", "v2/models/covidctnet/infer"):
        headers = BEARER | {"content-type": "application/json"}
        response = httpx.post(f"{strict.http}/{path}", content=b" " * 1_500_000, headers=headers, timeout=60)
        assert "longer than 1 MB" in refusal(response, 413, "too_large")
    assert "more than 30 files" in refusal(send(zip_of([b"x"] * 31)), 413, "too_large")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(2_500_000))
    assert "expands" in refusal(send(packed.getvalue()), 413, "too_large")
    parts = b"".join(b"--x\r\ncontent-disposition: form-data\r\n\r\na\r\n" for _ in range(31)) + b"--x--\r\n"
    assert "more than 30 files" in refusal(send(parts, "multipart/form-data; boundary=x"), 413, "too_large")


def test_a_body_that_does_not_arrive_is_given_up(strict: Process) -> None:
    head = f"POST /v1/studies HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {TOKEN}\r\n"
    with socket.create_connection(("127.0.0.1", strict.ports["http"]), timeout=20) as client:
        client.sendall(f"{head}content-type: application/zip\r\ncontent-length: 5000\r\n\r\nPK".encode())
        began = time.monotonic()
        answer = client.recv(4096)
    assert answer.startswith(b"HTTP/1.1 408"), answer
    assert time.monotonic() - began < 15


def test_a_full_queue_is_429_with_a_time_to_come_back(strict: Process, studies: list[Known]) -> None:
    turns = [studies[number % 3] for number in range(8)]
    with ThreadPoolExecutor(len(turns)) as pool:
        responses = list(pool.map(lambda study: post(strict, study.data, headers=BEARER), turns))
    statuses = [response.status_code for response in responses]
    assert set(statuses) == {200, 429}
    for response, study in zip(responses, turns, strict=True):
        if response.status_code == 200:
            assert_same(response.json(), study.answer)
        else:
            refusal(response, 429, "busy")
            assert int(response.headers["retry-after"]) >= 1
