"""What OpenAPI says of bodies and answers that are streamed past FastAPI's own parsing."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from covidctnet.predictor import Answer
from covidctnet.report.explain import KINDS, MEDIA_TYPES
from serving.transformer.codecs.v2 import OUTPUTS

_SCHEMAS = "#/components/schemas/"
_PROBLEM = {"$ref": f"{_SCHEMAS}Problem"}
_ANSWER = {"$ref": f"{_SCHEMAS}Answer"}
_REFUSALS = {
    "400": "the request or a file in the study is unreadable",
    "401": "no valid bearer token",
    "404": "no such model, version or request",
    "405": "another method than this one",
    "408": "the study did not arrive in time",
    "413": "the study is too large",
    "415": "wrong content type",
    "422": "a readable study that cannot be judged",
    "429": "the queue is full",
    "500": "the server failed; the study was not judged",
    "503": "no predictor of the same pair, or the server is stopping",
    "504": "not judged before the deadline",
}
_AFTER = {"Retry-After": {"description": "seconds", "schema": {"type": "integer", "minimum": 1}}}


def _schemas() -> dict[str, Any]:
    """Of the answer, from the class that it is made of, and of a refusal."""
    answer = TypeAdapter(Answer).json_schema(mode="serialization", ref_template=f"{_SCHEMAS}{{model}}")
    parts: dict[str, Any] = answer.pop("$defs")
    serving = {
        "model_version": {"type": "string"},
        "request_id": {"type": "string", "format": "uuid"},
        "timings": {"type": "object", "additionalProperties": {"type": "number"}, "description": "seconds by stage"},
    }
    answer["properties"] |= serving
    answer["required"] = list(answer["properties"])
    text = {"type": "string"}
    problem = {
        "type": "object",
        "required": ["code", "message", "detail", "request_id"],
        "additionalProperties": False,
        "properties": {
            "code": {**text, "description": "what happened, for machines"},
            "message": text,
            "detail": {**text, "description": "the value that was seen and what to do"},
            "request_id": {**text, "format": "uuid"},
        },
    }
    return {**parts, "Answer": answer | {"additionalProperties": False}, "Problem": problem}


def refusals(*statuses: str) -> dict[int | str, dict[str, Any]]:
    """Responses of the one shape, and any that is not named here."""
    content = {"application/json": {"schema": _PROBLEM}}
    named: dict[int | str, dict[str, Any]] = {
        status: {"description": _REFUSALS[status], "content": content}
        | ({"headers": _AFTER} if status in {"429", "503"} else {})
        for status in statuses
    }
    return named | {"default": {"description": "any other refusal", "content": content}}


def describe_api(app: FastAPI, *, protected: bool, open_paths: frozenset[str]) -> dict[str, Any]:
    """The whole document.

    Args:
        app: whose routes it describes.
        protected: whether a token is asked for.
        open_paths: those that ask for none.
    """
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = document.setdefault("components", {})
    components["schemas"] = components.get("schemas", {}) | _schemas()
    if protected:
        components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"bearer": []}]
    for path in open_paths & set(document["paths"]):
        for operation in document["paths"][path].values():
            operation["security"] = []
            operation["responses"].pop("401", None)
    return document


_BYTES = {"type": "string", "format": "binary"}
_ZIP_TEXT = {"type": "string", "contentEncoding": "base64", "description": "a zip of DICOM files"}


_REQUEST_ID = {
    "name": "X-Request-ID",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "format": "uuid"},
    "description": "taken over where it is a UUID; progress is asked for by it",
}
_JSON_LENGTH = {
    "name": "Inference-Header-Content-Length",
    "in": "header",
    "required": False,
    "schema": {"type": "integer", "minimum": 1},
    "description": "length of the JSON, where the study follows it as raw bytes",
}
STUDY_REFUSALS = refusals(*(status for status in _REFUSALS if status != "405"))
READY_REFUSALS = refusals("401", "503")


def _operation(body: Mapping[str, Any], answer: Mapping[str, Any], *parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "requestBody": {"required": True, "content": body},
        "responses": {"200": {"description": "the answer", "content": answer}},
        "parameters": [*parameters, _REQUEST_ID],
    }


_PARTS = {"schema": {"type": "object", "properties": {"files": {"type": "array", "items": _BYTES}}}}
_REPORT: dict[str, Any] = {
    "name": "report",
    "in": "query",
    "required": False,
    "schema": {"type": "string", "enum": list(KINDS)},
    "description": "a report instead of the JSON answer, which it carries: `png`, a picture (text chunk `answer`); "
    "`html`, a page that needs nothing else (script `answer`); `volume`, a zip of answer.json, report.html, ct.nii.gz "
    "(HU), residual.nii.gz (input minus denoised) and marked.nii.gz (1 where the burden counts) as NIfTI-1 on the grid "
    "of the series",
}

STUDIES = _operation(
    {
        "application/zip": {"schema": _BYTES},
        "application/dicom": {"schema": _BYTES},
        "multipart/form-data": _PARTS,
        "multipart/related": _PARTS,
    },
    {
        "application/json": {"schema": _ANSWER},
        **{kind.partition(";")[0]: {"schema": _BYTES} for kind in MEDIA_TYPES.values()},
    },
    _REPORT,
)
V1_PREDICT = _operation(
    {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["instances"],
                "properties": {
                    "instances": {
                        "type": "array",
                        "items": {
                            "oneOf": [
                                {"type": "object", "required": ["b64"], "properties": {"b64": _ZIP_TEXT}},
                                {"type": "object", "required": ["url"], "properties": {"url": {"type": "string"}}},
                                _ZIP_TEXT,
                            ]
                        },
                    }
                },
            }
        }
    },
    {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["predictions"],
                "properties": {"predictions": {"type": "array", "items": _ANSWER}},
            }
        }
    },
)
_BINARY_SIZE = {"type": "object", "properties": {"binary_data_size": {"type": "integer", "minimum": 4}}}
_V2_BODY = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string", "maxLength": 200},
        "parameters": {"type": "object", "properties": {"binary_data_output": {"type": "boolean"}}},
        "inputs": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {
                "type": "object",
                "required": ["name", "datatype", "shape"],
                "properties": {
                    "name": {"const": "study"},
                    "datatype": {"const": "BYTES"},
                    "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}, "maxItems": 2},
                    "data": {"type": "array", "items": _ZIP_TEXT},
                    "parameters": _BINARY_SIZE,
                },
            },
        },
        "outputs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"enum": [name for name, _, _ in OUTPUTS]},
                    "parameters": {"type": "object", "properties": {"binary_data": {"type": "boolean"}}},
                },
            },
        },
    },
}
_V2_OUTPUT = {
    "type": "object",
    "required": ["name", "datatype", "shape"],
    "properties": {
        "name": {"enum": [name for name, _, _ in OUTPUTS]},
        "datatype": {"enum": sorted({kind for _, kind, _ in OUTPUTS})},
        "shape": {"type": "array", "items": {"type": "integer"}},
        "data": {"type": "array"},
        "parameters": {"type": ["object", "null"]},
    },
}
_V2_ANSWER = {
    "type": "object",
    "required": ["id", "model_name", "model_version", "outputs"],
    "properties": {
        "id": {"type": "string"},
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "outputs": {"type": "array", "items": _V2_OUTPUT},
    },
}
V2_INFER = _operation(
    {"application/json": {"schema": _V2_BODY}, "application/octet-stream": {"schema": _BYTES}},
    {"application/json": {"schema": _V2_ANSWER}, "application/octet-stream": {"schema": _BYTES}},
    _JSON_LENGTH,
)
