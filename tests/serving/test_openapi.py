"""The description of the HTTP routes is true: bodies, answers, refusals, tokens."""

import base64
import json
from typing import Any

import httpx
import jsonschema
import pytest

from tests.helpers.serving import Process
from tests.serving.conftest import TOKEN, Known


def described(document: dict[str, Any], path: str, status: int, kind: str = "application/json") -> dict[str, Any]:
    """The schema of a response, with what it refers to."""
    (operation,) = document["paths"][path].values()
    schema: dict[str, Any] = operation["responses"][str(status)]["content"][kind]["schema"]
    return schema | {"components": document["components"]}


def test_openapi_describes_what_the_routes_do(server: Process, studies: list[Known]) -> None:
    document = httpx.get(f"{server.http}/openapi.json").json()
    operation = document["paths"]["/v1/studies"]["post"]
    kinds = {"application/zip", "application/dicom", "multipart/form-data", "multipart/related"}
    assert set(operation["requestBody"]["content"]) == kinds
    report, identifier = operation["parameters"]
    assert report["schema"]["enum"] == ["png", "html", "volume"]
    assert identifier["name"] == "X-Request-ID"
    answers = {"application/json", "image/png", "text/html", "application/zip"}
    assert set(operation["responses"]["200"]["content"]) == answers
    for path, methods in document["paths"].items():
        # FastAPI's own shape of a refusal is never sent.
        assert "ValidationError" not in json.dumps(methods), path
        if "get" in methods:
            url = server.http + path.replace("{name}", "covidctnet").replace("{version}", "1")
            # No request has such an id.
            assert httpx.get(url).status_code == (404 if "{request_id}" in path else 200), path
    assert "security" not in document


def test_answers_and_refusals_are_what_openapi_says(server: Process, studies: list[Known]) -> None:
    document = httpx.get(f"{server.http}/openapi.json").json()
    study = base64.b64encode(studies[0].data).decode()
    v2 = {"inputs": [{"name": "study", "shape": [1], "datatype": "BYTES", "data": [study]}]}
    for path, body in (
        ("/v1/studies", studies[0].data),
        ("/v1/models/{name}:predict", json.dumps({"instances": [study]}).encode()),
        ("/v2/models/{name}/infer", json.dumps(v2).encode()),
    ):
        url = server.http + path.replace("{name}", "covidctnet")
        kind = "application/zip" if path == "/v1/studies" else "application/json"
        for content, media, status in ((body, kind, 200), (b"", kind, 400), (body, "text/plain", 415)):
            response = httpx.post(url, content=content, headers={"content-type": media}, timeout=60)
            assert response.status_code == status
            jsonschema.validate(response.json(), described(document, path, status))
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({}, described(document, path, 200))


def test_openapi_tells_where_a_token_is_needed(strict: Process) -> None:
    document = httpx.get(f"{strict.http}/openapi.json", headers={"authorization": f"Bearer {TOKEN}"}).json()
    scheme = document["components"]["securitySchemes"]["bearer"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            needed = operation.get("security", document["security"]) == [{"bearer": []}]
            response = httpx.request(method, strict.http + path.replace("{name}", "covidctnet"))
            assert (response.status_code == 401) is needed, path
            assert ("401" in operation["responses"]) is needed, path
