"""What a running transformer refuses, how it says so, and that it goes on."""

import base64
import json
import struct
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from tests.helpers.refusals import ask_grpc, refusal
from tests.helpers.series import make_files, zip_of
from tests.helpers.serving import Process, post, start_transformer
from tests.serving.conftest import TOKEN, Known


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
