"""What OpenAPI says of bodies and answers that are streamed past FastAPI's own parsing."""

from typing import Any

from covidctnet.report.explain import KINDS, MEDIA_TYPES

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["code", "message", "detail", "request_id"],
    "properties": {
        "code": {"type": "string", "description": "what happened, for machines"},
        "message": {"type": "string"},
        "detail": {"type": "string", "description": "the value that was seen and what to do"},
        "request_id": {"type": "string", "format": "uuid"},
    },
}
_REFUSALS = {
    "400": "the request or a file in the study is unreadable",
    "401": "no valid bearer token",
    "404": "no such model",
    "408": "the study did not arrive in time",
    "413": "the study is too large",
    "415": "wrong content type",
    "422": "a readable study that cannot be judged",
    "429": "the queue is full; see Retry-After",
    "503": "no predictor of the same pair, or the server is stopping",
    "504": "not judged before the deadline",
}
_BURDEN: dict[str, Any] = {
    "type": "object",
    "description": "share of the lung that the residual marks, and where",
}
ANSWER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "probabilities": {"type": "object", "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1}},
        "label": {"type": "string"},
        "covid_positive": {"type": ["boolean", "null"]},
        "covid_threshold": {"type": "number"},
        "out_of_distribution": {"type": "number"},
        "burden": _BURDEN,
        "scanner": {"type": "string"},
        "series": {"type": "string"},
        "warnings": {"type": "array", "items": {"type": "string"}},
        "pair_id": {"type": "string"},
        "data_version": {"type": "string"},
        "code_version": {"type": "string"},
        "profile": {"type": "string"},
        "disclaimer": {"type": "string"},
        "model_version": {"type": "string"},
        "request_id": {"type": "string", "format": "uuid"},
        "timings": {"type": "object", "additionalProperties": {"type": "number"}, "description": "seconds by stage"},
    },
}
_BYTES = {"type": "string", "format": "binary"}
_ZIP_TEXT = {"type": "string", "contentEncoding": "base64", "description": "a zip of DICOM files"}


def _operation(body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    problem = {"application/json": {"schema": _PROBLEM}}
    return {
        "requestBody": {"required": True, "content": body},
        "responses": {
            "200": {"description": "the answer", "content": answer},
            **{status: {"description": text, "content": problem} for status, text in _REFUSALS.items()},
        },
    }


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
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"files": {"type": "array", "items": {"type": "string", "format": "binary"}}},
            }
        },
    },
    {
        "application/json": {"schema": ANSWER},
        **{kind.partition(";")[0]: {"schema": _BYTES} for kind in MEDIA_TYPES.values()},
    },
) | {"parameters": [_REPORT]}
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
            "schema": {"type": "object", "properties": {"predictions": {"type": "array", "items": ANSWER}}}
        }
    },
)
V2_INFER = _operation(
    {
        "application/json": {"schema": {"type": "object", "description": "one BYTES input `study`, base64 in `data`"}},
        "application/octet-stream": {"schema": _BYTES},
    },
    {
        "application/json": {"schema": {"type": "object", "description": "outputs answer, label, probabilities"}},
        "application/octet-stream": {"schema": _BYTES},
    },
)
