"""Connections that bring nothing whole are closed, whoever holds them; those that are answered are not."""

import socket
import time

import httpx
import pytest

from tests.helpers.serving import Process, post
from tests.serving.conftest import TOKEN, Known
from tests.serving.test_parity import assert_same

PIECES, PAUSE = 100, 0.2


def is_closed(client: socket.socket) -> bool:
    """Whether the server ended it; reads what is there."""
    client.settimeout(0.01)
    try:
        while client.recv(1 << 16):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return True


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        ("", ""),
        ("GET /v2/health/live HTTP/1.1\r\nhost: 127.0.0.1\r\n", "x-more: 1\r\n"),
        ("GET /v2/health/live HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n", "GET "),
        ("POST /v1/studies HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 99999\r\n\r\n", "x"),
    ],
    ids=["nothing", "headers without end", "a second request without end", "the body of a refused one"],
)
def test_a_connection_is_not_held_with_a_byte_now_and_then(strict: Process, begin: str, piece: str) -> None:
    with socket.create_connection(("127.0.0.1", strict.ports["http"]), timeout=20) as client:
        client.sendall(begin.encode())
        for _ in range(PIECES):
            time.sleep(PAUSE)
            if is_closed(client):
                break
            try:
                client.sendall(piece.encode())
            except ConnectionError:
                break
        else:
            pytest.fail(f"the connection was still open after {PIECES} pieces")


def test_a_connection_serves_one_request_after_another(strict: Process, studies: list[Known]) -> None:
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/zip"}
    with httpx.Client(base_url=strict.http, headers=headers, timeout=60) as client:
        for study in studies[:2]:
            assert_same(client.post("/v1/studies", content=study.data).json(), study.answer)
    assert_same(post(strict, studies[0].data, headers=headers).json(), studies[0].answer)
