"""Every protocol gives the numbers of `covidctnet predict`, whatever else is posted at the same time."""

import base64
import json
import re
import struct
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from kserve import InferInput, InferRequest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc

from covidctnet.labels import LABELS
from tests.cli.test_commands import call
from tests.helpers.serving import ROOT, Process, post
from tests.serving.conftest import Known

OUTPUTS = ["answer", "label", "probabilities"]


def assert_same(answer: Any, oracle: Any, place: str = "answer") -> None:
    """Every value of the offline answer, numbers within 1e-6; serving may add fields."""
    if isinstance(oracle, dict):
        for name, value in oracle.items():
            assert_same(answer[name], value, f"{place}.{name}")
    elif isinstance(oracle, list):
        assert len(answer) == len(oracle), place
        for index, value in enumerate(oracle):
            assert_same(answer[index], value, f"{place}[{index}]")
    elif isinstance(oracle, float):
        assert answer == pytest.approx(oracle, abs=1e-6), place
    else:
        assert answer == oracle, place


def ask_plain(server: Process, study: Known) -> dict[str, Any]:
    response = post(server, study.data)
    assert response.status_code == 200, response.text
    return response.json()


def ask_multipart(server: Process, study: Known) -> dict[str, Any]:
    files = [("files", (f"../../{number}.dcm", data)) for number, data in enumerate(reversed(study.files))]
    response = httpx.post(f"{server.http}/v1/studies", files=files, timeout=120)
    assert response.status_code == 200, response.text
    return response.json()


def ask_v1(server: Process, study: Known) -> dict[str, Any]:
    body = {"instances": [{"b64": base64.b64encode(study.data).decode()}]}
    response = httpx.post(f"{server.http}/v1/models/covidctnet:predict", json=body, timeout=120)
    assert response.status_code == 200, response.text
    (answer,) = response.json()["predictions"]
    return answer


def ask_v2_binary(server: Process, study: Known) -> dict[str, Any]:
    tensor = InferInput("study", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([study.data], np.object_), binary_data=True)
    request = InferRequest("covidctnet", [tensor], request_id="mine", parameters={"binary_data_output": True})
    body, length = request.to_rest()
    response = httpx.post(
        f"{server.http}/v2/models/covidctnet/infer",
        content=body,
        headers={"content-type": "application/octet-stream", "inference-header-content-length": str(length)},
        timeout=120,
    )
    assert response.status_code == 200, response.text
    size = int(response.headers["inference-header-content-length"])
    described = json.loads(response.content[:size])
    assert described["id"] == "mine"
    assert [output["name"] for output in described["outputs"]] == OUTPUTS
    rest = response.content[size:]
    (answer_length,) = struct.unpack_from("<I", rest)
    answer = json.loads(rest[4 : 4 + answer_length])
    probabilities = np.frombuffer(rest[-8 * len(LABELS) :], "<f8")
    assert dict(zip(LABELS, probabilities, strict=True)) == pytest.approx(answer["probabilities"], abs=1e-12)
    return answer


def ask_v2_json(server: Process, study: Known) -> dict[str, Any]:
    data = [base64.b64encode(study.data).decode()]
    body = {"inputs": [{"name": "study", "shape": [1], "datatype": "BYTES", "data": data}]}
    response = httpx.post(f"{server.http}/v2/models/covidctnet/infer", json=body, timeout=120)
    assert response.status_code == 200, response.text
    outputs = {output["name"]: output["data"] for output in response.json()["outputs"]}
    return json.loads(outputs["answer"][0])


def ask_grpc(server: Process, study: Known) -> dict[str, Any]:
    tensor = pb.ModelInferRequest.InferInputTensor(name="study", datatype="BYTES", shape=[1])
    raw = [struct.pack("<I", len(study.data)) + study.data]
    with grpc.insecure_channel(server.grpc) as channel:
        stub = grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)
        request = pb.ModelInferRequest(model_name="covidctnet", inputs=[tensor], raw_input_contents=raw)
        response = stub.ModelInfer(request, timeout=120)
    assert [output.name for output in response.outputs] == OUTPUTS
    raw_answer = response.raw_output_contents[0]
    return json.loads(raw_answer[4:])


def ask_as_documented(server: Process, study: Known) -> dict[str, Any]:
    """The Python example of docs/serving.md, with KServe's own client."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "serving.md").read_text(), re.DOTALL)
    printed: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.zip"
        path.write_bytes(study.data)
        code = code.replace("http://127.0.0.1:8080", server.http).replace('"study.zip"', repr(str(path)))
        exec(code, {"print": printed.append})
    (answer,) = printed
    return answer


WAYS = [ask_plain, ask_multipart, ask_v1, ask_v2_binary, ask_v2_json, ask_grpc, ask_as_documented]


@pytest.mark.parametrize("ask", WAYS)
def test_each_protocol_answers_as_the_predictor_does_offline(server: Process, studies: list[Known], ask: Any) -> None:
    answer = ask(server, studies[0])
    assert_same(answer, studies[0].answer)
    assert set(answer["timings"]) == {"upload", "queue", "read", "images", "denoise", "classify", "total"}


def test_the_command_line_gives_the_same_answer(served_bundle: Path, studies: list[Known], tmp_path: Path) -> None:
    path = tmp_path / "study.zip"
    path.write_bytes(studies[1].data)
    result = call("predict", path, "--bundle", served_bundle, "--json")
    assert result.returncode == 0, result.stderr
    assert_same(json.loads(result.stdout), studies[1].answer)


def test_studies_at_the_same_time_get_their_own_answers(server: Process, studies: list[Known]) -> None:
    turns = [(ask, study) for study in studies for ask in (ask_plain, ask_v1, ask_v2_binary, ask_grpc)][:10]
    with ThreadPoolExecutor(len(turns)) as pool:
        answers = list(pool.map(lambda turn: turn[0](server, turn[1]), turns))
    for answer, (_, study) in zip(answers, turns, strict=True):
        assert_same(answer, study.answer)
    assert len({answer["request_id"] for answer in answers}) == len(turns)


def test_several_studies_in_one_request_keep_their_order(server: Process, studies: list[Known]) -> None:
    body = {"instances": [base64.b64encode(study.data).decode() for study in reversed(studies)]}
    response = httpx.post(f"{server.http}/v1/models/covidctnet:predict", json=body, timeout=120)
    for answer, study in zip(response.json()["predictions"], reversed(studies), strict=True):
        assert_same(answer, study.answer)


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("name", ["covid-a", "head-tilted"])
def test_real_series_over_the_wire(server: Process, shared_data: Any, name: str) -> None:
    response = post(server, (shared_data / "series" / f"{name}.zip").read_bytes())
    if name == "head-tilted":
        assert response.status_code == 422
        assert "tilted by 18.5 degrees" in response.json()["detail"]
    else:
        assert response.status_code == 200
        assert response.json()["scanner"] == "Siemens SOMATOM Scope"
