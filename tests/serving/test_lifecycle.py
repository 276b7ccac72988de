"""Processes that end, stop, hang or come back, and clients that go away, while studies are worked on."""

import contextlib
import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from covidctnet.bundle import load_bundle
from tests.helpers.serving import (
    Process,
    is_ready,
    lay_out_version,
    post,
    start_pair,
    start_predictor,
    start_transformer,
    wait_for,
)
from tests.serving.conftest import Known
from tests.serving.test_parity import ask_grpc, assert_same

pytestmark = pytest.mark.slow


@pytest.fixture
def models(served_bundle: Path, tmp_path: Path) -> Path:
    return lay_out_version(tmp_path / "models", served_bundle)


@pytest.fixture
def pair(served_bundle: Path, models: Path, tmp_path: Path) -> Iterator[tuple[Process, Process]]:
    """A predictor and a transformer of this test's own, which it may end."""
    predictor, transformer = start_pair(served_bundle, models, tmp_path)
    yield predictor, transformer
    with contextlib.suppress(ProcessLookupError):
        os.kill(predictor.popen.pid, signal.SIGCONT)
    transformer.stop()
    predictor.stop()


@contextlib.contextmanager
def in_flight(transformer: Process, predictor: Process, study: Known) -> Iterator[Future[httpx.Response]]:
    """A study that has reached the predictor, which hangs."""
    os.kill(predictor.popen.pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(post, transformer, study.data)
        time.sleep(2)
        assert not future.done()
        yield future


def test_a_predictor_killed_in_mid_request_costs_no_wrong_answer(
    pair: tuple[Process, Process], models: Path, studies: list[Known], tmp_path: Path
) -> None:
    predictor, transformer = pair
    with in_flight(transformer, predictor, studies[0]) as future:
        predictor.stop(signal.SIGKILL)
        response = future.result(60)
    assert response.status_code == 503, response.text
    assert response.json()["code"] == "not_ready"
    wait_for(lambda: not is_ready(transformer))
    assert post(transformer, studies[1].data).status_code == 503
    again = start_predictor(models, tmp_path / "again.log", port=predictor.ports["grpc"])
    try:
        wait_for(lambda: is_ready(transformer))
        assert_same(post(transformer, studies[1].data).json(), studies[1].answer)
    finally:
        again.stop()


def test_a_short_break_of_the_predictor_is_bridged_or_told(
    pair: tuple[Process, Process], models: Path, studies: list[Known], tmp_path: Path
) -> None:
    predictor, transformer = pair
    port = predictor.ports["grpc"]
    with in_flight(transformer, predictor, studies[2]) as future:
        # Another server takes the port at once, so that the retry finds it.
        predictor.popen.kill()
        predictor.popen.wait()
        again = start_predictor(models, tmp_path / "again.log", port=port)
        try:
            response = future.result(60)
        finally:
            again.stop()
    assert response.status_code in {200, 503}
    if response.status_code == 200:
        assert_same(response.json(), studies[2].answer)


def test_sigterm_lets_requests_in_flight_finish_and_refuses_new_ones(
    pair: tuple[Process, Process], studies: list[Known]
) -> None:
    predictor, transformer = pair
    with in_flight(transformer, predictor, studies[0]) as future:
        transformer.popen.send_signal(signal.SIGTERM)
        time.sleep(1)
        assert transformer.popen.poll() is None
        with pytest.raises(httpx.ConnectError):
            post(transformer, studies[1].data)
        os.kill(predictor.popen.pid, signal.SIGCONT)
        response = future.result(60)
    assert response.status_code == 200, response.text
    assert_same(response.json(), studies[0].answer)
    assert transformer.popen.wait(60) == 0


def test_an_upload_that_began_before_sigterm_is_still_answered(
    pair: tuple[Process, Process], studies: list[Known]
) -> None:
    _, transformer = pair
    body = studies[0].data
    head = (
        "POST /v1/studies HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n"
        f"content-type: application/zip\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", transformer.ports["http"]), timeout=60) as client:
        client.sendall(head.encode() + body[:10_000])
        time.sleep(0.5)
        transformer.popen.send_signal(signal.SIGTERM)
        wait_for(lambda: refuses_connections(transformer))
        client.sendall(body[10_000:])
        with client.makefile("rb") as reply:
            answer = reply.read()
    assert answer.startswith(b"HTTP/1.1 200"), answer[:500]
    assert_same(json.loads(answer.partition(b"\r\n\r\n")[2]), studies[0].answer)
    assert transformer.popen.wait(60) == 0


def test_a_grpc_call_in_flight_outlives_the_http_server(pair: tuple[Process, Process], studies: list[Known]) -> None:
    predictor, transformer = pair
    os.kill(predictor.popen.pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(ask_grpc, transformer, studies[0])
        time.sleep(2)
        transformer.popen.send_signal(signal.SIGTERM)
        wait_for(lambda: refuses_connections(transformer))
        time.sleep(1)
        assert not future.done()
        os.kill(predictor.popen.pid, signal.SIGCONT)
        assert_same(future.result(60), studies[0].answer)
    assert transformer.popen.wait(60) == 0


def refuses_connections(server: Process) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.ports["http"]), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_client_that_goes_away_stops_the_work(pair: tuple[Process, Process], studies: list[Known]) -> None:
    predictor, transformer = pair
    os.kill(predictor.popen.pid, signal.SIGSTOP)
    body = studies[0].data
    head = f"POST /v1/studies HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(body)}\r\n"
    with socket.create_connection(("127.0.0.1", transformer.ports["http"])) as client:
        client.sendall(head.encode() + b"content-type: application/zip\r\n\r\n" + body)
        time.sleep(1)
    wait_for(lambda: any(line.get("status") == 499 for line in transformer.logs()))
    working = re.compile(r'^covidctnet_queue\{state="working"\} 0\.0$', re.MULTILINE)
    wait_for(lambda: working.search(httpx.get(f"{transformer.http}/metrics").text) is not None, 5)
    os.kill(predictor.popen.pid, signal.SIGCONT)
    assert_same(post(transformer, studies[1].data).json(), studies[1].answer)


def test_a_hanging_predictor_is_504_at_the_deadline(
    served_bundle: Path, pair: tuple[Process, Process], studies: list[Known], tmp_path: Path
) -> None:
    predictor, _ = pair
    (tmp_path / "settings.yaml").write_text("admission: {request_seconds: 3}")
    hasty = start_transformer(served_bundle, predictor.grpc, tmp_path / "log", f"--settings={tmp_path}/settings.yaml")
    try:
        wait_for(lambda: is_ready(hasty))
        os.kill(predictor.popen.pid, signal.SIGSTOP)
        began = time.monotonic()
        response = post(hasty, studies[0].data)
        assert response.status_code == 504, response.text
        assert response.json()["code"] == "deadline_exceeded"
        assert 2.5 < time.monotonic() - began < 6
    finally:
        os.kill(predictor.popen.pid, signal.SIGCONT)
        hasty.stop()


def test_readiness_follows_a_roll_out_and_a_replaced_pair_gives_no_answer(
    other_bundle: Path, pair: tuple[Process, Process], models: Path, studies: list[Known], tmp_path: Path
) -> None:
    predictor, transformer = pair
    assert_same(post(transformer, studies[0].data).json(), studies[0].answer)
    late = start_transformer(other_bundle, predictor.grpc, tmp_path / "late.log")
    try:
        assert not is_ready(late)
        served = load_bundle(other_bundle).serving_version
        # TensorFlow Serving takes the highest number for the latest.
        for path in models.iterdir():
            path.unlink()
        lay_out_version(models, other_bundle)
        wait_for(lambda: is_ready(late))
        answer = post(late, studies[0].data).json()
        assert answer["model_version"] == str(served)
        assert answer["covid_threshold"] == pytest.approx(0.123)
        response = post(transformer, studies[0].data)
        assert response.status_code == 503
        wait_for(lambda: not is_ready(transformer))
        assert f"serves version {served}" in post(transformer, studies[0].data).json()["detail"]
    finally:
        late.stop()
