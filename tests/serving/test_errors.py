"""Every refusal has one shape, the right status and nothing that it should not tell."""

import errno
import json
import logging
import sys

import grpc
import pytest
from kserve.errors import ModelNotFound
from starlette.exceptions import HTTPException

from covidctnet import errors as domain
from serving import errors
from serving.errors import describe
from serving.telemetry.logs import JsonFormatter, request_id
from serving.transformer.edge import choose_request_id, protocol_of

SECRET = "DOE^JOHN /srv/someone/study"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (domain.UnreadableFileError("file 3 of 9 is cut off"), 400, "unreadable_study"),
        (domain.NoStudyFoundError("no CT"), 422, "no_ct_images"),
        (domain.UnsuitableSeriesError("a localizer"), 422, "unsuitable_series"),
        (domain.GeometryError("tilted"), 422, "irregular_geometry"),
        (domain.ImplausibleImageError("an abdomen"), 422, "implausible_image"),
        (domain.StudyError("another"), 422, "unsuitable_study"),
        (errors.BadRequestError("no JSON"), 400, "bad_request"),
        (errors.UnauthenticatedError("no token"), 401, "unauthenticated"),
        (errors.TooLargeError("2 GB"), 413, "too_large"),
        (errors.WrongTypeError("text"), 415, "wrong_type"),
        (errors.BusyError("9 wait"), 429, "busy"),
        (errors.NotReadyError("another pair"), 503, "not_ready"),
        (errors.LateError("10 s"), 504, "deadline_exceeded"),
        (ModelNotFound(SECRET), 404, "not_found"),
        (HTTPException(405), 405, "method_not_allowed"),
        (domain.BundleError(SECRET), 500, "internal"),
        (KeyError(SECRET), 500, "internal"),
        (OSError(errno.ENOSPC, SECRET), 503, "not_ready"),
        (OSError(errno.EIO, SECRET), 500, "internal"),
    ],
)
def test_an_error_becomes_its_status_and_code(error: Exception, status: int, code: str) -> None:
    problem = describe(error, "id")
    assert (problem.status, problem.code) == (status, code)
    assert set(problem.body) == {"code", "message", "detail", "request_id"}
    assert all(problem.body.values())
    assert SECRET not in json.dumps(problem.body)
    if isinstance(error, domain.StudyError | errors.ServingError) and status < 500:
        assert problem.detail == str(error)


def test_every_serving_error_has_its_own_code_and_a_grpc_status() -> None:
    kinds = errors.ServingError.__subclasses__()
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(describe(kind("x"), "id").grpc_code is not grpc.StatusCode.INTERNAL for kind in kinds)


def test_retry_after_is_whole_seconds_and_at_least_one() -> None:
    assert describe(errors.BusyError("x", retry_after=0.2), "id").headers == {"retry-after": "1"}
    assert describe(errors.BusyError("x", retry_after=6.1), "id").headers == {"retry-after": "7"}
    assert describe(errors.LateError("x"), "id").headers == {}
    assert describe(errors.UnauthenticatedError("x"), "id").headers == {"www-authenticate": "Bearer"}


def test_a_request_id_is_taken_over_only_where_it_cannot_be_a_name() -> None:
    given = "6F9619FF-8B86-D011-B42D-00C04FC964FF"
    assert choose_request_id(given) == given.lower()
    for offered in (None, "", "DOE^JOHN", "patient-00017", given + "0"):
        assert choose_request_id(offered) != offered
        assert len(choose_request_id(offered)) == 36


def test_paths_are_counted_by_protocol_only() -> None:
    assert protocol_of("/v1/studies") == "plain"
    assert protocol_of("/v1/models/covidctnet:predict") == "v1"
    assert protocol_of("/v2/models/a/infer") == "v2"
    assert protocol_of("/DOE^JOHN") == "other"


def test_a_log_line_tells_where_an_error_was_and_not_what_it_said() -> None:
    try:
        raise KeyError(SECRET)
    except KeyError:
        record = logging.LogRecord("serving", logging.ERROR, "", 1, "failed %s", ("twice",), sys.exc_info())
    token = request_id.set("some-id")
    line = JsonFormatter().format(record)
    request_id.reset(token)
    assert SECRET not in line
    assert "\n" not in line
    fields = json.loads(line)
    assert fields["event"] == "failed twice"
    assert fields["exception"] == "KeyError"
    assert fields["request_id"] == "some-id"
    assert fields["stack"][-1].startswith("test_errors.py:")
