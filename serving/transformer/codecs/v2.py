"""Open Inference Protocol v2: one BYTES input `study`, a zip an element; REST with the binary extension, and gRPC.

Outputs: `answer` (BYTES, the JSON document), `label` (BYTES), `probabilities` (FP64, in the order of the labels).
"""

import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

import numpy as np
import orjson
from kserve import InferOutput, InferResponse
from kserve.protocol.grpc import grpc_predict_v2_pb2
from kserve.protocol.infer_type import RequestedOutput
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from covidctnet.labels import LABELS
from serving.errors import BadRequestError, TooLargeError
from serving.settings import UploadSettings
from serving.transformer.codecs import Decoded
from serving.transformer.codecs.archives import require_zip
from serving.transformer.codecs.v1 import decode_base64, describe_faults, parse_json

INPUT = "study"
JSON_LENGTH = "inference-header-content-length"
_MAX_HEADER_BYTES = 1_000_000
_DIGITS = len(str(_MAX_HEADER_BYTES))
_CHUNK = 1 << 20
_LENGTH = struct.Struct("<I")

Output = Literal["answer", "label", "probabilities"]
OUTPUTS: tuple[tuple[Output, str, tuple[int, ...]], ...] = (
    ("answer", "BYTES", (-1,)),
    ("label", "BYTES", (-1,)),
    ("probabilities", "FP64", (-1, len(LABELS))),
)

_Side = Annotated[int, Field(ge=1, le=1000)]


class InputParameters(BaseModel):
    """Of the binary extension: how many bytes after the JSON are this input's."""

    model_config = ConfigDict(strict=True)
    binary_data_size: Annotated[int, Field(ge=4, le=2**31)] | None = None


class StudyInput(BaseModel):
    """The one input: a BYTES tensor with a zip of DICOM files an element."""

    model_config = ConfigDict(strict=True)
    name: Literal["study"]
    datatype: Literal["BYTES"]
    shape: Annotated[list[_Side], Field(min_length=1, max_length=2)]
    parameters: InputParameters = InputParameters()
    data: list[str] | None = None


class OutputParameters(BaseModel):
    """Whether an output is wanted as raw bytes."""

    model_config = ConfigDict(strict=True)
    binary_data: bool = False


class WantedOutput(BaseModel):
    """An output that the client asks for."""

    model_config = ConfigDict(strict=True)
    name: Output
    parameters: OutputParameters = OutputParameters()


class RequestParameters(BaseModel):
    """Whether all outputs are wanted as raw bytes."""

    model_config = ConfigDict(strict=True)
    binary_data_output: bool = False


class InferBody(BaseModel):
    """A v2 request's JSON."""

    model_config = ConfigDict(strict=True)
    id: Annotated[str, Field(max_length=200)] = ""
    parameters: RequestParameters = RequestParameters()
    inputs: Annotated[list[StudyInput], Field(min_length=1, max_length=1)]
    outputs: Annotated[list[WantedOutput], Field(max_length=len(OUTPUTS))] | None = None


def decode_rest(body: Path, json_length: str | None, folder: Path, limits: UploadSettings) -> Decoded:
    """Write a v2 REST body's studies to files.

    Args:
        body: as received.
        json_length: the header Inference-Header-Content-Length; None where the body is all JSON.
        folder: receives the studies.
        limits: bound their number and size.

    Raises:
        BadRequestError: it does not follow the protocol.
        TooLargeError: too many studies, or too large ones.
    """
    with body.open("rb") as file:
        request = _parse(file.read(_json_bytes(json_length, body.stat().st_size)))
        study = request.inputs[0]
        count = _count(study.shape, limits)
        size = study.parameters.binary_data_size
        if (study.data is None) == (size is None):
            raise BadRequestError("the input needs either data or binary_data_size")
        if size is not None:
            if file.tell() + size != body.stat().st_size:
                raise BadRequestError("binary_data_size is not what follows the JSON")
            studies = [_copy(file, folder / f"study{number}") for number in range(count)]
            if file.read(1):
                raise BadRequestError("bytes are left after the last study: lengths and shape disagree")
        else:
            texts = study.data or []
            if len(texts) != count:
                raise BadRequestError(f"{len(texts)} studies were sent, but the shape says {count}")
            studies = [_write(decode_base64(text), folder / f"study{n}") for n, text in enumerate(texts)]
    for path in studies:
        require_zip(path, limits)
    return Decoded(studies=tuple(studies), options={"request": request})


def decode_grpc(message: Any, folder: Path, limits: UploadSettings) -> Decoded:
    """Write a ModelInferRequest's studies to files.

    Raises:
        BadRequestError: it does not follow the protocol.
        TooLargeError: too many studies, or too large ones.
    """
    if len(message.inputs) != 1 or message.inputs[0].name != INPUT or message.inputs[0].datatype != "BYTES":
        raise BadRequestError(f"send exactly one input, {INPUT}, of datatype BYTES")
    if len(message.inputs[0].shape) not in {1, 2}:
        raise BadRequestError("the input's shape must have one or two dimensions")
    count = _count(list(message.inputs[0].shape), limits)
    raw, contents = list(message.raw_input_contents), list(message.inputs[0].contents.bytes_contents)
    if len(raw) + bool(contents) != 1:
        raise BadRequestError("send the study either as raw_input_contents or as bytes_contents")
    elements: Sequence[bytes | memoryview] = contents or _split(raw[0])
    if len(elements) != count:
        raise BadRequestError(f"{len(elements)} studies were sent, but the shape says {count}")
    studies = tuple(_write(data, folder / f"study{number}") for number, data in enumerate(elements))
    for path in studies:
        require_zip(path, limits)
    return Decoded(studies=studies)


def encode_rest(documents: list[dict[str, Any]], request: InferBody, model: str) -> tuple[bytes, dict[str, str]]:
    """A v2 REST response: its bytes and headers."""
    wanted = None
    if request.outputs:
        wanted = [
            RequestedOutput(output.name, {"binary_data": output.parameters.binary_data}) for output in request.outputs
        ]
    response = _respond(
        documents, request.id, model, binary=request.parameters.binary_data_output, requested_outputs=wanted
    )
    content, length = response.to_rest()
    if isinstance(content, bytes):
        return content, {"content-type": "application/octet-stream", JSON_LENGTH: str(length)}
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), {"content-type": "application/json"}


def encode_grpc(documents: list[dict[str, Any]], request_id: str, model: str) -> grpc_predict_v2_pb2.ModelInferResponse:
    """A v2 gRPC response."""
    return _respond(documents, request_id, model, binary=False).to_grpc()


def _respond(documents: list[dict[str, Any]], request_id: str, model: str, *, binary: bool, **more: Any) -> Any:
    probabilities = [list(document["probabilities"].values()) for document in documents]
    values: dict[str, Any] = {
        "answer": np.array([orjson.dumps(document).decode() for document in documents], dtype=np.object_),
        "label": np.array([document["label"] for document in documents], dtype=np.object_),
        "probabilities": np.array(probabilities, np.float64),
    }
    outputs = [
        InferOutput(name=name, shape=list(values[name].shape), datatype=datatype, data=values[name])
        for name, datatype, _ in OUTPUTS
    ]
    return InferResponse(
        response_id=request_id or documents[0]["request_id"],
        model_name=model,
        model_version=documents[0]["model_version"],
        infer_outputs=outputs,
        use_binary_outputs=binary,
        **more,
    )


def _json_bytes(header: str | None, size: int) -> int:
    if header is None:
        return size
    # Python itself refuses to read numbers of thousands of digits.
    if not header.isdecimal() or len(header) > _DIGITS or not 0 < int(header) <= min(size, _MAX_HEADER_BYTES):
        raise BadRequestError(f"{JSON_LENGTH} must be the length of the JSON, at most {_MAX_HEADER_BYTES}")
    return int(header)


def _parse(text: bytes) -> InferBody:
    try:
        return InferBody.model_validate(parse_json(text))
    except ValidationError as error:
        raise BadRequestError(describe_faults(error)) from None


def _count(shape: list[int], limits: UploadSettings) -> int:
    count = math.prod(shape)
    if not 0 < count <= limits.max_studies or min(shape) < 1:
        raise TooLargeError(f"shape {shape} must hold 1 to {limits.max_studies} studies (upload.max_studies)")
    return count


def _copy(source: BinaryIO, path: Path) -> Path:
    start = source.read(_LENGTH.size)
    left = _LENGTH.unpack(start)[0] if len(start) == _LENGTH.size else 0
    if left == 0:
        raise BadRequestError("a study is empty, or the binary data is cut off")
    with path.open("wb") as target:
        while left and (chunk := source.read(min(left, _CHUNK))):
            target.write(chunk)
            left -= len(chunk)
    if left:
        raise BadRequestError("the binary data is cut off")
    return path


def _split(raw: bytes) -> list[memoryview]:
    # Views: a copy of every study would double what a message takes in memory.
    data, elements, place = memoryview(raw), [], 0
    while place < len(data):
        if place + _LENGTH.size > len(data):
            raise BadRequestError("raw_input_contents is cut off")
        length = _LENGTH.unpack_from(data, place)[0]
        place += _LENGTH.size
        if length == 0 or place + length > len(data):
            raise BadRequestError("raw_input_contents is cut off, or a study is empty")
        elements.append(data[place : place + length])
        place += length
    return elements


def _write(data: bytes | memoryview, path: Path) -> Path:
    if not data:
        raise BadRequestError("a study is empty")
    path.write_bytes(data)
    return path
