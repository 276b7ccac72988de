"""KServe v1: `{"instances": [{"b64": ZIP} | {"url": ADDRESS} | ZIP]}` -> `{"predictions": [ANSWER]}`."""

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from serving.admission import Job
from serving.errors import BadRequestError, TooLargeError
from serving.settings import UploadSettings
from serving.transformer.codecs import Decoded
from serving.transformer.codecs.archives import require_zip

_MAX_JSON_VALUES = 10_000
_VALUE_BEGINS = (b",", b"[", b"{")
"""After one of these stands a value; base64 has none of them, so that a study counts once."""


class Fetch(Protocol):
    """Gets a study from an allowed address into a folder."""

    def __call__(self, url: str, folder: Path, job: Job, most: int, /) -> Path:
        """Return the study's file or folder, of at most so many bytes."""
        ...


class EncodedStudy(BaseModel):
    """A zip of DICOM files in base64."""

    model_config = ConfigDict(extra="forbid", strict=True)
    b64: str


class RemoteStudy(BaseModel):
    """An address that the transformer is allowed to fetch from."""

    model_config = ConfigDict(extra="forbid", strict=True)
    url: str


class Instances(BaseModel):
    """A v1 request's body."""

    model_config = ConfigDict(extra="ignore", strict=True)
    instances: list[EncodedStudy | RemoteStudy | str]


def decode(body: Path, folder: Path, limits: UploadSettings) -> tuple[Path | RemoteStudy, ...]:
    """Write the studies that a v1 body holds to files; those that it names by an address remain to be fetched.

    Args:
        body: the received JSON.
        folder: receives the studies.
        limits: bound their number and size.

    Raises:
        BadRequestError: no JSON, no instances, or no base64.
        TooLargeError: too many instances, or too large ones.
    """
    instances = _parse(body.read_bytes()).instances
    if not instances:
        raise BadRequestError("instances is empty; send a study")
    if len(instances) > limits.max_studies:
        raise TooLargeError(f"{len(instances)} studies are more than {limits.max_studies} (upload.max_studies)")
    return tuple(
        instance
        if isinstance(instance, RemoteStudy)
        else _write(instance.b64 if isinstance(instance, EncodedStudy) else instance, folder / f"study{number}", limits)
        for number, instance in enumerate(instances)
    )


def fetch_all(
    named: Sequence[Path | RemoteStudy], folder: Path, fetch: Fetch, job: Job, limits: UploadSettings
) -> Decoded:
    """Fetch what a body named by an address; blocks, and ends early where the job is stopped.

    Args:
        named: what `decode` gave.
        folder: receives the studies.
        fetch: gets one.
        job: of the request.
        limits: bound what all of them take together.

    Raises:
        ServingError: the address is not allowed, or its study cannot be had.
    """
    studies, left = [], limits.max_body_bytes
    for number, study in enumerate(named):
        if isinstance(study, RemoteStudy):
            place = folder / f"study{number}"
            place.mkdir()
            studies.append(fetch(study.url, place, job, left))
            left -= sum(path.stat().st_size for path in place.iterdir())
        else:
            studies.append(study)
    return Decoded(studies=tuple(studies))


def encode(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """A v1 response."""
    return {"predictions": documents}


def decode_base64(text: str) -> bytes:
    """The bytes of a base64 text.

    Raises:
        BadRequestError: it is none, or empty.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadRequestError("a study is not base64") from None
    if not data:
        raise BadRequestError("a study is empty")
    return data


def parse_json(text: bytes) -> Any:
    """Plain values of a JSON text.

    Raises:
        BadRequestError: it is none, or has more values than any request for studies: 4 MB of small wrong ones took
            10 GB of memory.
    """
    if sum(map(text.count, _VALUE_BEGINS)) > _MAX_JSON_VALUES:
        raise BadRequestError(f"the JSON has more than {_MAX_JSON_VALUES} values; send the studies and nothing else")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"the body is no JSON: line {error.lineno}, column {error.colno}") from None


def describe_faults(error: ValidationError) -> str:
    """Which fields are wrong and why, without the values: they are somebody's study."""
    faults = [f"{'.'.join(str(part) for part in fault['loc']) or 'body'}: {fault['msg']}" for fault in error.errors()]
    return "; ".join(faults[:5])


def _parse(text: bytes) -> Instances:
    try:
        return Instances.model_validate(parse_json(text))
    except ValidationError as error:
        raise BadRequestError(describe_faults(error)) from None


def _write(text: str, path: Path, limits: UploadSettings) -> Path:
    path.write_bytes(decode_base64(text))
    require_zip(path, limits)
    return path
