"""What a running transformer refuses, how it says so, and that it goes on."""

import base64
import contextlib
import io
import json
import re
import socket
import struct
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc

from tests.helpers.series import make_files, zip_of
from tests.helpers.serving import Process, is_ready, post, start_transformer
from tests.serving.conftest import TOKEN, Known
from tests.serving.test_parity import assert_same

BEARER = {"authorization": f"Bearer {TOKEN}"}


def refusal(response: httpx.Response, status: int, code: str) -> str:
    """The detail of a refusal of the one shape."""
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"code", "message", "detail", "request_id"}
    assert body["code"] == code
    assert body["request_id"] == response.headers["x-request-id"]
    assert "Traceback" not in response.text
    assert "/" not in body["detail"].replace("application/", "").replace("multipart/", "")
    return body["detail"]


def v2_body(**changes: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "study", "shape": [1], "datatype": "BYTES", "data": ["UEs="], **changes}]}


@pytest.mark.parametrize(
    ("body", "kind", "status", "code", "says"),
    [
        (b"", "application/zip", 400, "bad_request", "empty"),
        (b"hello", "application/zip", 400, "bad_request", "no zip"),
        (b"hello", "text/plain", 415, "wrong_type", "application/zip"),
        (b"hello", "", 415, "wrong_type", "application/zip"),
        (b"hello", "application/dicom", 422, "no_ct_images", "none of the 1 files is DICOM"),
        (zip_of([]), "application/zip", 422, "no_ct_images", "empty"),
        (zip_of([b"text"]), "application/zip", 422, "no_ct_images", "none of the 1 files"),
        (zip_of(make_files())[:9000], "application/zip", 400, "unreadable_study", "zip cannot be read"),
        (make_files()[0][:1000], "application/dicom", 400, "unreadable_study", "cut off"),
        (b"--x--", "multipart/form-data", 400, "bad_request", "boundary"),
        (b"--x\r\n\r\nabc", "multipart/form-data; boundary=x", 400, "bad_request", "cut off"),
        (b"nonsense", "multipart/form-data; boundary=x", 400, "bad_request", "malformed"),
    ],
)
def test_a_plain_body_that_is_no_study(
    server: Process, body: bytes, kind: str, status: int, code: str, says: str
) -> None:
    response = httpx.post(f"{server.http}/v1/studies", content=body, headers={"content-type": kind}, timeout=60)
    assert says in refusal(response, status, code)


def test_the_readers_reasons_are_422(server: Process) -> None:
    def tilt(image: Any, index: int) -> None:
        image.ImageOrientationPatient = ["1", "0", "0", "0", "0.95", "-0.31"]

    detail = refusal(post(server, zip_of(make_files(edit=tilt))), 422, "irregular_geometry")
    assert "tilted" in detail


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"{", 400, "no JSON"),
        (b"[]", 400, "body"),
        (b"{}", 400, "instances"),
        (b'{"instances": []}', 400, "empty"),
        (b'{"instances": ["%%%"]}', 400, "not base64"),
        (b'{"instances": [{"b64": "aGVsbG8="}]}', 400, "no zip"),
        (b'{"instances": [{"b64": 5}]}', 400, "instances.0"),
        (b'{"instances": [{"url": "http://169.254.169.254/latest"}]}', 400, "not fetched from this address"),
        (b'{"instances": [{"url": "file:///etc/passwd"}]}', 400, "not fetched from this address"),
        (json.dumps({"instances": ["UEs="] * 9}).encode(), 413, "more than 8"),
        # Each wrong value is told of in a kilobyte, before the first five are chosen.
        (b'{"instances": [' + b"1," * 100_000 + b"1]}", 400, "more than 10000 values"),
        (b'{"a": ' + b"[" * 100_000, 400, "more than 10000 values"),
    ],
)
def test_a_v1_body_that_is_no_request(server: Process, body: bytes, status: int, says: str) -> None:
    headers = {"content-type": "application/json"}
    response = httpx.post(f"{server.http}/v1/models/covidctnet:predict", content=body, headers=headers, timeout=60)
    assert says in refusal(response, status, "bad_request" if status == 400 else "too_large")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "inputs"),
        ({"inputs": []}, "inputs"),
        (v2_body(name="image"), "inputs.0.name"),
        (v2_body(datatype="FP32"), "inputs.0.datatype"),
        (v2_body(shape=[-1]), "inputs.0.shape"),
        (v2_body(shape=[2]), "the shape says 2"),
        (v2_body(data=None), "either data or binary_data_size"),
        (v2_body(parameters={"binary_data_size": 10}), "either data or binary_data_size"),
        (v2_body(data=["aGVsbG8="]), "no zip"),
        (v2_body() | {"outputs": [{"name": "secret"}]}, "outputs.0.name"),
    ],
)
def test_a_v2_body_that_is_no_request(server: Process, body: dict[str, Any], says: str) -> None:
    response = httpx.post(f"{server.http}/v2/models/covidctnet/infer", json=body, timeout=60)
    assert says in refusal(response, 400, "bad_request")


@pytest.mark.parametrize(
    ("size", "tail", "length", "says"),
    [
        (104, struct.pack("<I", 100) + b"P" * 100, "x", "must be the length"),
        (104, struct.pack("<I", 100) + b"P" * 100, "0", "must be the length"),
        (104, struct.pack("<I", 100) + b"P" * 100, "9" * 5000, "must be the length"),
        (104, struct.pack("<I", 100) + b"P" * 50, None, "not what follows"),
        (104, struct.pack("<I", 900) + b"P" * 100, None, "cut off"),
        (104, struct.pack("<I", 50) + b"P" * 100, None, "bytes are left"),
        (104, struct.pack("<I", 0) + b"P" * 100, None, "empty"),
    ],
)
def test_a_binary_v2_body_whose_lengths_disagree(
    server: Process, size: int, tail: bytes, length: str | None, says: str
) -> None:
    header = json.dumps(v2_body(data=None, parameters={"binary_data_size": size})).encode()
    headers = {"content-type": "application/octet-stream"}
    headers["inference-header-content-length"] = length or str(len(header))
    response = httpx.post(f"{server.http}/v2/models/covidctnet/infer", content=header + tail, headers=headers)
    assert says in refusal(response, 400, "bad_request")


def test_addresses_models_and_methods_that_are_not_here(server: Process) -> None:
    study = zip_of(make_files())
    for path in ("/v1/models/other:predict", "/v2/models/other/infer", "/v2/models/covidctnet/versions/7/infer"):
        refusal(httpx.post(server.http + path, content=study), 404, "not_found")
    refusal(httpx.get(f"{server.http}/nowhere"), 404, "not_found")
    refusal(httpx.get(f"{server.http}/v1/studies"), 405, "method_not_allowed")
    # A page elsewhere that got this address under its own name.
    for headers in ({"host": "evil.example"}, {"origin": "https://evil.example"}, {"origin": "null"}):
        refusal(httpx.get(f"{server.http}/metrics", headers=headers), 400, "bad_request")
    own = {"origin": server.http, "host": f"localhost:{server.ports['http']}"}
    assert httpx.get(f"{server.http}/metrics", headers=own).status_code == 200


def ask_grpc(server: Process, metadata: tuple[tuple[str, str], ...] = (), **fields: Any) -> grpc.RpcError:
    with grpc.insecure_channel(server.grpc) as channel:
        stub = grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError) as refused:
            stub.ModelInfer(pb.ModelInferRequest(**fields), timeout=60, metadata=metadata)
    return refused.value


def test_grpc_refuses_in_the_same_shape(server: Process, strict: Process) -> None:
    study = pb.ModelInferRequest.InferInputTensor(name="study", datatype="BYTES", shape=[1])
    cut = struct.pack("<I", 99) + b"PK"
    for fields, status, code in (
        ({"model_name": "other"}, grpc.StatusCode.NOT_FOUND, "not_found"),
        ({"model_name": "covidctnet"}, grpc.StatusCode.INVALID_ARGUMENT, "bad_request"),
        (
            {"model_name": "covidctnet", "inputs": [study], "raw_input_contents": [cut]},
            grpc.StatusCode.INVALID_ARGUMENT,
            "bad_request",
        ),
    ):
        error = ask_grpc(server, **fields)
        assert error.code() is status
        body = json.loads(error.details())
        assert set(body) == {"code", "message", "detail", "request_id"}
        assert body["code"] == code
    assert ask_grpc(strict, model_name="covidctnet").code() is grpc.StatusCode.UNAUTHENTICATED
    known = ask_grpc(strict, (("authorization", f"Bearer {TOKEN}"),), model_name="covidctnet")
    assert known.code() is grpc.StatusCode.INVALID_ARGUMENT


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


def test_a_predictor_of_another_pair_never_gives_an_answer(
    other_bundle: Path, predictor: Process, studies: list[Known], tmp_path: Path
) -> None:
    lonely = start_transformer(other_bundle, predictor.grpc, tmp_path / "log")
    try:
        assert httpx.get(f"{lonely.http}/v2/health/live").status_code == 200
        for response in (
            httpx.get(f"{lonely.http}/v2/health/ready"),
            httpx.get(f"{lonely.http}/v2/models/covidctnet/ready"),
            post(lonely, studies[0].data),
            httpx.post(
                f"{lonely.http}/v1/models/covidctnet:predict",
                json={"instances": [base64.b64encode(studies[0].data).decode()]},
            ),
        ):
            assert "but this transformer is of pair" in refusal(response, 503, "not_ready")
            assert int(response.headers["retry-after"]) >= 1
        study = pb.ModelInferRequest.InferInputTensor(name="study", datatype="BYTES", shape=[1])
        raw = [struct.pack("<I", len(studies[0].data)) + studies[0].data]
        error = ask_grpc(lonely, model_name="covidctnet", inputs=[study], raw_input_contents=raw)
        assert error.code() is grpc.StatusCode.UNAVAILABLE
    finally:
        lonely.stop()


def test_a_wrong_start_is_refused_in_one_line(served_bundle: Path, tmp_path: Path) -> None:
    for flags, says in (
        (("--host=0.0.0.0",), "loopback addresses only"),
        ((f"--tokens={tmp_path / 'absent'}",), "token file cannot be read"),
        ((f"--bundle={tmp_path}",), "is no bundle"),
    ):
        log = tmp_path / "log"
        with pytest.raises(AssertionError, match="did not start"):
            start_transformer(served_bundle, "127.0.0.1:1", log, *flags)
        lines = [line for line in log.read_text().splitlines() if line]
        assert len(lines) == 1
        assert says in lines[0]
