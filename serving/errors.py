"""Everything that the servers refuse, as one tree, and the one shape in which every protocol tells it.

ServingError (a CovidCTNetError)
├── BadRequestError         400  the request is not what the protocol asks for
├── UnauthenticatedError    401  no bearer token, or an unknown one
├── NotHereError            404  no such model or address
├── UploadTimeoutError      408  the study did not arrive in time
├── TooLargeError           413  the study, or what it expands to, is beyond a limit
├── WrongTypeError          415  the content type is not one that is read
├── BusyError               429  the queue is full
├── StoppedError            499  the client went away; nobody reads this answer
├── NotReadyError           503  no predictor of the same pair answers, or the server is stopping
└── LateError               504  the deadline passed

The reader's refusals (covidctnet.errors.StudyError) are 400 where a file is unreadable, else 422: a readable study that
cannot be judged. Whatever else is raised is 500, and its message stays in here.
"""

import errno
import http
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import grpc

from covidctnet import errors as domain
from covidctnet.errors import CovidCTNetError


class ServingError(CovidCTNetError):
    """Base of what the servers refuse.

    Args:
        detail: the value that was seen and what to do.
        retry_after: seconds after which it is worth another try.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    message: ClassVar[str] = "The server failed; the study was not judged."

    def __init__(self, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class BadRequestError(ServingError):
    """The request is not what the protocol asks for."""

    status, code, message = 400, "bad_request", "The request cannot be understood."


class UnauthenticatedError(ServingError):
    """No bearer token, or one that is not known."""

    status, code, message = 401, "unauthenticated", "A valid bearer token is needed."


class NotHereError(ServingError):
    """No such model or address."""

    status, code, message = 404, "not_found", "There is nothing at this address."


class UploadTimeoutError(ServingError):
    """The body did not arrive in time."""

    status, code, message = 408, "upload_timeout", "The study did not arrive in time."


class TooLargeError(ServingError):
    """The study, or what it expands to, is beyond a limit."""

    status, code, message = 413, "too_large", "The study is too large."


class WrongTypeError(ServingError):
    """The content type is not one that is read."""

    status, code, message = 415, "wrong_type", "This content type is not read here."


class BusyError(ServingError):
    """The queue is full."""

    status, code, message = 429, "busy", "Too many studies are waiting."


class StoppedError(ServingError):
    """The client went away, and the work was stopped."""

    status, code, message = 499, "stopped", "The client went away."


class NotReadyError(ServingError):
    """No predictor of the same pair answers, or the server is stopping."""

    status, code, message = 503, "not_ready", "No answer can be given at the moment."


class LateError(ServingError):
    """The deadline passed before the answer."""

    status, code, message = 504, "deadline_exceeded", "The study was not judged in time."


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A refusal as clients see it: `body` is the same JSON in every protocol."""

    status: int
    code: str
    message: str
    detail: str
    request_id: str
    retry_after: float | None = None

    @property
    def body(self) -> dict[str, Any]:
        """Code, message, detail and request id."""
        return {
            "code": self.code,
            "message": self.message,
            "detail": self.detail,
            "request_id": self.request_id,
        }

    @property
    def headers(self) -> dict[str, str]:
        """Retry-After in whole seconds, and the challenge of 401."""
        headers = {}
        if self.retry_after is not None:
            headers["retry-after"] = str(max(1, math.ceil(self.retry_after)))
        if self.status == http.HTTPStatus.UNAUTHORIZED:
            headers["www-authenticate"] = "Bearer"
        return headers

    @property
    def grpc_code(self) -> grpc.StatusCode:
        """The nearest gRPC status."""
        return _GRPC.get(self.status, grpc.StatusCode.INTERNAL)


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE}
_FULL_SECONDS = 60.0
_DETAIL_LETTERS = 1000
"""A detail may repeat a name that the client chose, which may be as long as its request."""

_GRPC = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    415: grpc.StatusCode.INVALID_ARGUMENT,
    422: grpc.StatusCode.FAILED_PRECONDITION,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    499: grpc.StatusCode.CANCELLED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}

_UNREADABLE = "The study cannot be read."
_NOT_JUDGED = "The study can be read, but not judged."
_READER: dict[type[domain.StudyError], tuple[int, str, str]] = {
    domain.UnreadableFileError: (400, "unreadable_study", _UNREADABLE),
    domain.NoStudyFoundError: (422, "no_ct_images", _NOT_JUDGED),
    domain.UnsuitableSeriesError: (422, "unsuitable_series", _NOT_JUDGED),
    domain.GeometryError: (422, "irregular_geometry", _NOT_JUDGED),
    domain.ImplausibleImageError: (422, "implausible_image", _NOT_JUDGED),
}


def describe(error: BaseException, request_id: str) -> Problem:
    """What a client is told of an error, whatever raised it."""
    from kserve.errors import InvalidInput, ModelNotFound
    from starlette.exceptions import HTTPException

    if isinstance(error, ServingError):
        known: tuple[int, str, str] = (error.status, error.code, error.message)
    elif isinstance(error, domain.StudyError):
        known = _READER.get(type(error), (422, "unsuitable_study", _NOT_JUDGED))
    elif isinstance(error, ModelNotFound):
        return describe(NotHereError("there is no model of this name"), request_id)
    elif isinstance(error, OSError) and error.errno in _FULL:
        return describe(NotReadyError("the server has no room for uploads", retry_after=_FULL_SECONDS), request_id)
    elif isinstance(error, InvalidInput):
        return describe(BadRequestError("the request does not follow its protocol"), request_id)
    elif isinstance(error, HTTPException):
        phrase = http.HTTPStatus(error.status_code).phrase
        known = (error.status_code, phrase.lower().replace(" ", "_"), f"{phrase}.")
        return Problem(
            status=known[0],
            code=known[1],
            message=known[2],
            detail="see openapi.json for what is here",
            request_id=request_id,
        )
    else:
        known = (ServingError.status, ServingError.code, ServingError.message)
        error = ServingError("an unexpected error; its place is in the server's log under this request id")
    status, code, message = known
    retry_after = error.retry_after if isinstance(error, ServingError) else None
    return Problem(
        status=status,
        code=code,
        message=message,
        detail=str(error)[:_DETAIL_LETTERS],
        request_id=request_id,
        retry_after=retry_after,
    )
