"""Open Inference Protocol v2 over gRPC, on the same data plane as REST."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
import grpc
import orjson
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc

from serving.admission import Job
from serving.errors import NotReadyError, Problem, ServingError, describe
from serving.telemetry.logs import request_id
from serving.telemetry.metrics import Metrics
from serving.telemetry.tracing import span
from serving.tokens import TokenFile
from serving.transformer.codecs import Decoded, v2
from serving.transformer.edge import choose_request_id
from serving.transformer.plane import StudyPlane

_LOG = logging.getLogger(__name__)
_OPEN = ("/ServerLive", "/ServerReady")


class TokenGate(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Refuses calls without a known token before their message, which may be large, is taken in.

    Args:
        tokens: who may ask.
        metrics: where refusals are counted.
    """

    def __init__(self, tokens: TokenFile, metrics: Metrics) -> None:
        self._tokens, self._metrics = tokens, metrics

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Pass a call on, or have it refused."""
        if not handler_call_details.method.endswith(_OPEN):
            metadata = dict(handler_call_details.invocation_metadata or ())
            try:
                self._tokens.require(_text(metadata.get("authorization")))
            except ServingError as error:
                return self._refusal(describe(error, choose_request_id(_text(metadata.get("x-request-id")))))
        return await continuation(handler_call_details)

    def _refusal(self, problem: Problem) -> Any:
        async def refuse(requests: Any, context: Any) -> None:
            self._metrics.requests.labels("grpc", problem.grpc_code.name).inc()
            await _abort(context, problem, self._metrics)

        # A stream of requests is not read before it is asked for; a single request would be.
        return grpc.stream_unary_rpc_method_handler(refuse)


class InferenceService(grpc_predict_v2_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Health, metadata and ModelInfer; models cannot be loaded or unloaded from outside.

    Args:
        plane: answers.
        metrics: where requests are counted.
    """

    def __init__(self, plane: StudyPlane, metrics: Metrics) -> None:
        self._plane, self._metrics = plane, metrics

    async def ServerLive(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Alive, since it answers."""
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Whether both halves are of one pair and the server is not stopping."""
        return pb.ServerReadyResponse(ready=await self._is_ready())

    async def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        """As ServerReady, for the one model."""
        async with self._guard(context):
            self._plane.dataplane.get_model_from_registry(request.name)
            return pb.ModelReadyResponse(ready=await self._is_ready())

    async def ServerMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Name and version of the server."""
        async with self._guard(context):
            metadata = self._plane.dataplane.metadata()
            return pb.ServerMetadataResponse(name=metadata["name"], version=metadata["version"])

    async def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The model's inputs and outputs."""
        async with self._guard(context):
            metadata = await self._plane.dataplane.model_metadata(request.name)
            return pb.ModelMetadataResponse(**metadata, versions=[str(self._plane.pair.version)])

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answer for the studies of one request."""
        async with self._guard(context, counted=True) as identifier:

            async def receive(folder: Path, job: Job) -> Decoded:
                return await anyio.to_thread.run_sync(v2.decode_grpc, request, folder, self._plane.settings.upload)

            answered, _ = await self._plane.answer(
                request.model_name, request.model_version, identifier, receive, seconds=context.time_remaining()
            )
            return v2.encode_grpc([one.document for one in answered], request.id, request.model_name)

    async def _is_ready(self) -> bool:
        with contextlib.suppress(NotReadyError):
            self._plane.admission.require_open()
            await self._plane.pair.require_ready()
            return True
        return False

    @asynccontextmanager
    async def _guard(self, context: Any, *, counted: bool = False) -> AsyncIterator[str]:
        """Tell any error as a gRPC status whose details are the one JSON shape."""
        metadata = dict(context.invocation_metadata() or ())
        identifier = choose_request_id(_text(metadata.get("x-request-id")))
        token, began, status = request_id.set(identifier), time.monotonic(), grpc.StatusCode.OK
        try:
            with span("grpc", carrier=_texts(metadata), request_id=identifier):
                yield identifier
        except asyncio.CancelledError:
            status = grpc.StatusCode.CANCELLED
            raise
        except Exception as error:  # noqa: BLE001 - the last line of defence: every error gets the one shape
            problem = describe(error, identifier)
            status = problem.grpc_code
            if problem.status == 500:
                _LOG.error("unexpected error", exc_info=error)
            await _abort(context, problem, self._metrics)
        finally:
            if counted:
                self._conclude(status, time.monotonic() - began)
            request_id.reset(token)

    def _conclude(self, status: grpc.StatusCode, seconds: float) -> None:
        self._metrics.requests.labels("grpc", status.name).inc()
        self._metrics.request_seconds.labels("grpc").observe(seconds)
        fields = {"protocol": "grpc", "status": status.name, "seconds": round(seconds, 4)}
        _LOG.info("request", extra={"fields": fields})


async def _abort(context: Any, problem: Problem, metrics: Metrics) -> None:
    metrics.refused.labels(problem.code).inc()
    trailing = tuple(problem.headers.items())
    await context.abort(problem.grpc_code, orjson.dumps(problem.body).decode(), trailing)


async def start_grpc(
    service: InferenceService,
    gate: TokenGate | None,
    *,
    host: str,
    port: int,
    max_message_bytes: int,
    max_calls: int,
    connection_seconds: float,
) -> tuple[grpc.aio.Server, int]:
    """Start the server and return it with its port.

    Args:
        service: the calls.
        gate: asks for tokens; None where nobody but this machine reaches the server.
        host: address to listen on.
        port: TCP port, 0 for a free one.
        max_message_bytes: largest study with its envelope.
        max_calls: calls at once; each may hold a message of that size in memory.
        connection_seconds: a connection takes no new calls after this time; clients connect anew by themselves.

    Raises:
        OSError: the port is taken.
    """
    server = grpc.aio.server(
        interceptors=() if gate is None else (gate,),
        maximum_concurrent_rpcs=max_calls,
        options=[
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.max_send_message_length", max_message_bytes),
            ("grpc.so_reuseport", 0),
            # Without it a client would stay at one server for days, past every roll-out. Calls in flight finish.
            ("grpc.max_connection_age_ms", int(1000 * connection_seconds)),
        ],
    )
    grpc_predict_v2_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(service, server)
    try:
        bound = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError as error:
        raise OSError(98, f"port {port} cannot be listened on") from error
    await server.start()
    return server, bound


def _text(value: str | bytes | None) -> str | None:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _texts(metadata: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in metadata.items() if isinstance(value, str)}
