"""The outermost layer of HTTP: request id, tokens, one log line and one count a request, and the one error handler."""

import logging
import re
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import BadRequestError, Problem, describe
from serving.telemetry.logs import request_id
from serving.telemetry.metrics import Metrics
from serving.telemetry.tracing import span
from serving.tokens import TokenFile, is_loopback
from serving.transformer.page import PATHS as PAGE_PATHS

_LOG = logging.getLogger(__name__)
OPEN_PATHS = frozenset({"/v2/health/live", "/v2/health/ready"})
"""Answered without a token: an orchestrator has none."""
_UUID = re.compile(r"^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$")


def choose_request_id(offered: str | None) -> str:
    """The client's id where it is a UUID, else a new one: any other text could hold a patient's identity."""
    lowered = (offered or "").lower()
    return lowered if _UUID.match(lowered) else str(uuid.uuid4())


def protocol_of(path: str) -> str:
    """A path as a metric's label: never the path itself, which a client chooses."""
    if path == "/v1/studies":
        return "plain"
    if path.startswith("/v1/models/"):
        return "v1"
    return "v2" if path.startswith("/v2/models/") else "other"


async def handle_error(request: Request, error: Exception) -> JSONResponse:
    """The one handler: any error of any route as the one JSON shape."""
    problem = describe(error, request.scope["covidctnet.request_id"])
    request.scope["covidctnet.problem"] = problem
    if problem.status == 500:
        _LOG.error("unexpected error", exc_info=error)
    return _response(problem)


class Edge:
    """ASGI middleware around the application.

    Args:
        app: the application.
        tokens: who may ask; None where nobody but this machine reaches the server.
        metrics: where requests are counted.
    """

    def __init__(self, app: ASGIApp, *, tokens: TokenFile | None, metrics: Metrics) -> None:
        self._app, self._tokens, self._metrics = app, tokens, metrics
        self._sending_away = False

    def send_away(self) -> None:
        """Answer as ever, but close each connection with its answer: another server has taken over."""
        self._sending_away = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        identifier = choose_request_id(headers.get("x-request-id"))
        scope["covidctnet.request_id"] = identifier
        token = request_id.set(identifier)
        began = time.monotonic()
        status = _Status(send, identifier, lambda: self._sending_away)
        try:
            with span(
                protocol_of(scope["path"]), carrier=headers, request_id=scope["covidctnet.request_id"]
            ) as current:
                await self._answer(scope, headers, receive, status)
                current.set_attribute("http.response.status_code", status.code)
        finally:
            self._conclude(scope, status.code, time.monotonic() - began)
            request_id.reset(token)

    async def _answer(self, scope: Scope, headers: Headers, receive: Receive, send: "_Status") -> None:
        request = Request(scope)
        try:
            if scope["path"] not in OPEN_PATHS:
                self._require_access(scope["path"], headers)
            await self._app(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - the last line of defence: every error gets the one shape
            if send.code == 0:
                response = await handle_error(request, error)
                await response(scope, receive, send)
            elif "covidctnet.problem" not in scope:
                # A refusal comes by here, too, after it was answered.
                _LOG.error("an answer broke off", exc_info=error)

    def _require_access(self, path: str, headers: Headers) -> None:
        if self._tokens is not None:
            if path not in PAGE_PATHS:
                self._tokens.require(headers.get("authorization"))
            return
        # Without tokens, a web page elsewhere could reach this port, under a name of its own (DNS rebinding) or not.
        if not is_loopback(_host(f"//{headers.get('host', '')}")):
            raise BadRequestError("without tokens, only requests to a loopback host are answered")
        if "origin" in headers and not is_loopback(_host(headers["origin"])):
            raise BadRequestError("without tokens, pages of other hosts are not answered")

    def _conclude(self, scope: Scope, status: int, seconds: float) -> None:
        protocol = protocol_of(scope["path"])
        problem: Problem | None = scope.get("covidctnet.problem")
        self._metrics.requests.labels(protocol, str(status or 499)).inc()
        if problem is not None:
            self._metrics.refused.labels(problem.code).inc()
        if scope["method"] != "POST":
            return
        self._metrics.request_seconds.labels(protocol).observe(seconds)
        fields: dict[str, Any] = {"protocol": protocol, "status": status or 499, "seconds": round(seconds, 4)}
        if problem is not None:
            fields["code"] = problem.code
        _LOG.info("request", extra={"fields": fields})


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


class _Status:
    """Sends on, adds the request id to the headers, and keeps the status code."""

    def __init__(self, send: Callable[[Message], Any], request_id: str, closes: Callable[[], bool]) -> None:
        self._send, self._request_id, self._closes = send, request_id, closes
        self.code = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.code = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self._request_id
            if self._closes():
                headers["connection"] = "close"
            headers["cache-control"] = "no-store"
            headers["x-content-type-options"] = "nosniff"
            headers["referrer-policy"] = "no-referrer"
        await self._send(message)


def _response(problem: Problem) -> JSONResponse:
    return JSONResponse(problem.body, problem.status, headers=problem.headers)
