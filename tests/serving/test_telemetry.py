"""What the server tells of itself: metrics, logs without identity, and a true description of its routes."""

import re
import uuid
from typing import Any

import httpx

from serving.telemetry.metrics import brand_label
from tests.helpers.series import make_files, zip_of
from tests.helpers.serving import ZIP, Process, post, wait_for
from tests.serving.conftest import Known

NAME, PATIENT = "DOE^JANE", "PID-77001"


def metric(server: Process, line: str) -> float:
    found = re.search(rf"^{re.escape(line)} (\S+)$", httpx.get(f"{server.http}/metrics").text, re.MULTILINE)
    return float(found.group(1)) if found else 0.0


def test_answers_and_refusals_are_counted(server: Process, studies: list[Known]) -> None:
    lines = [
        'covidctnet_requests_total{protocol="plain",status="200"}',
        'covidctnet_requests_total{protocol="plain",status="400"}',
        'covidctnet_refused_total{code="bad_request"}',
        'covidctnet_studies_total{brand="Siemens"}',
        f'covidctnet_answers_total{{label="{studies[0].answer["label"]}"}}',
        'covidctnet_stage_seconds_count{stage="denoise"}',
        "covidctnet_residual_energy_count",
        'request_predict_seconds_count{model_name="covidctnet"}',
    ]
    before = [metric(server, line) for line in lines]
    assert post(server, studies[0].data).status_code == 200
    assert post(server, b"no zip").status_code == 400
    assert [metric(server, line) - value for line, value in zip(lines, before, strict=True)] == [1.0] * len(lines)
    assert metric(server, "covidctnet_ready") == 1.0
    assert metric(server, 'covidctnet_queue{state="waiting"}') == 0.0


def test_logs_are_json_with_the_request_id_and_never_an_identity(server: Process) -> None:
    def name(image: Any, index: int) -> None:
        image.PatientName, image.PatientID = NAME, PATIENT
        image.add_new(0x00091001, "LO", NAME)
        image.Manufacturer = NAME

    given = str(uuid.uuid4())
    files = [("files", (f"{NAME}.dcm", data)) for data in make_files(edit=name)]
    url = f"{server.http}/v1/studies?patient={PATIENT}"
    response = httpx.post(url, files=files, headers={"x-request-id": given}, timeout=60)
    assert response.status_code == 200, response.text
    refused = post(server, zip_of(make_files(edit=name)[:3], names=f"{PATIENT}-{{}}"), headers={"x-request-id": NAME})
    assert refused.status_code == 422
    assert PATIENT not in response.text + refused.text
    identifiers = {given, refused.json()["request_id"]}

    def concluded() -> set[str | None]:
        return {line.get("request_id") for line in server.logs() if line["event"] == "request"}

    # The line that concludes a request is written once its answer is on its way.
    wait_for(lambda: identifiers <= concluded())
    lines = server.logs()
    text = server.log.read_text()
    assert NAME not in text
    assert PATIENT not in text
    # A refusal is no failure of the server.
    told = [line for line in lines if line.get("request_id") == refused.json()["request_id"]]
    assert told[-1]["code"] == refused.json()["code"]
    assert all(line["level"] == "info" for line in told)
    (line,) = [line for line in lines if line.get("request_id") == given and line["event"] == "request"]
    assert (line["protocol"], line["status"]) == ("plain", 200)
    assert all({"time", "level", "logger", "event"} <= set(line) for line in lines)
    assert NAME not in httpx.get(f"{server.http}/metrics").text


def test_unknown_brands_share_one_label() -> None:
    assert brand_label("Siemens") == "Siemens"
    assert brand_label(NAME) == "other"


def test_models_describe_themselves(server: Process) -> None:
    described = httpx.get(f"{server.http}/v2/models/covidctnet").json()
    assert described["inputs"] == [{"name": "study", "datatype": "BYTES", "shape": [-1]}]
    assert [output["name"] for output in described["outputs"]] == ["answer", "label", "probabilities"]
    assert httpx.get(f"{server.http}/v1/models/covidctnet").json() == {"name": "covidctnet", "ready": True}
    assert ZIP["content-type"] in httpx.get(f"{server.http}/openapi.json").text
