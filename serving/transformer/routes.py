"""HTTP routes: each names its codec, and the shared data plane does the rest."""

import asyncio
from pathlib import Path
from typing import Any

import anyio.to_thread
import orjson
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from serving.admission import Job
from serving.errors import WrongTypeError
from serving.telemetry.drift import DriftWindow
from serving.telemetry.metrics import Metrics
from serving.transformer.codecs import Decoded, v1, v2
from serving.transformer.openapi import READY_REFUSALS, STUDIES, STUDY_REFUSALS, V1_PREDICT, V2_INFER
from serving.transformer.plane import StudyPlane, while_connected
from serving.transformer.reports import ReportResponse, parse_kind
from serving.transformer.uploads import receive_body, receive_study

_JSON = {"application/json", ""}
_BINARY = _JSON | {"application/octet-stream"}


def study_routes(plane: StudyPlane, model: str, fetch: v1.Fetch) -> APIRouter:
    """The routes that take studies.

    Args:
        plane: answers.
        model: name of the one model, for the plain way.
        fetch: gets studies that v1 instances name by an address.
    """
    router, limits = APIRouter(responses=STUDY_REFUSALS), plane.settings.upload
    # A JSON body takes several times its size in memory while it is decoded: one at a time.
    decoding = asyncio.Semaphore(1)

    @router.post(
        "/v1/studies",
        tags=["plain"],
        summary="Send a study, get its answer",
        responses=STUDY_REFUSALS,
        openapi_extra=STUDIES,
    )
    async def post_study(request: Request) -> Response:
        async def receive(folder: Path, job: Job) -> Decoded:
            return await receive_study(request, folder, limits)

        kind = parse_kind(request.query_params.get("report"))
        answered, _ = await plane.answer(model, None, _id(request), receive, report=kind, gone=request.is_disconnected)
        (one,) = answered
        if one.report is None:
            return _json(one.document)
        return ReportResponse(one.report, _id(request), plane.settings.admission.request_seconds)

    @router.post(
        "/v1/models/{name}:predict",
        tags=["KServe v1"],
        summary="Predict",
        responses=STUDY_REFUSALS,
        openapi_extra=V1_PREDICT,
    )
    async def predict(request: Request, name: str) -> Response:
        async def receive(folder: Path, job: Job) -> Decoded:
            _require_type(request, _JSON)
            body = folder / "body"
            await receive_body(request, body, limits, most=limits.max_json_bytes)
            async with decoding:
                named = await anyio.to_thread.run_sync(v1.decode, body, folder, limits)
            fetched = anyio.to_thread.run_sync(v1.fetch_all, named, folder, fetch, job, limits)
            return await while_connected(fetched, job, request.is_disconnected)

        answered, _ = await plane.answer(name, None, _id(request), receive, gone=request.is_disconnected)
        return _json(v1.encode([one.document for one in answered]))

    async def infer(request: Request, name: str, version: str | None) -> Response:
        async def receive(folder: Path, job: Job) -> Decoded:
            length = request.headers.get(v2.JSON_LENGTH)
            _require_type(request, _JSON if length is None else _BINARY)
            body = folder / "body"
            await receive_body(request, body, limits, most=None if length else limits.max_json_bytes)
            async with decoding:
                return await anyio.to_thread.run_sync(v2.decode_rest, body, length, folder, limits)

        answered, decoded = await plane.answer(name, version, _id(request), receive, gone=request.is_disconnected)
        content, headers = v2.encode_rest([one.document for one in answered], decoded.options["request"], name)
        return Response(content, headers=headers)

    described: Any = {"tags": ["v2"], "openapi_extra": V2_INFER}

    @router.post("/v2/models/{name}/infer", summary="Infer", **described)
    async def infer_served(request: Request, name: str) -> Response:
        return await infer(request, name, None)

    @router.post("/v2/models/{name}/versions/{version}/infer", summary="Infer with a pinned version", **described)
    async def infer_version(request: Request, name: str, version: str) -> Response:
        return await infer(request, name, version)

    return router


def state_routes(plane: StudyPlane, metrics: Metrics, drift: DriftWindow) -> APIRouter:
    """The routes that tell how the server is."""
    router, dataplane = APIRouter(responses=READY_REFUSALS), plane.dataplane

    async def require_model(name: str) -> None:
        dataplane.get_model_from_registry(name)
        await plane.pair.require_ready()

    @router.get("/v2/health/live", tags=["v2"], summary="Alive")
    async def live() -> dict[str, bool]:
        return {"live": (await dataplane.live())["status"] == "alive"}

    @router.get("/v2/health/ready", tags=["v2"], summary="Both halves are of one pair, and the server is not stopping")
    async def ready() -> dict[str, bool]:
        plane.admission.require_open()
        await plane.pair.require_ready()
        return {"ready": True}

    @router.get("/v2", tags=["v2"], summary="Server metadata")
    async def server_metadata() -> dict[str, Any]:
        return {**dataplane.metadata(), "extensions": ["binary_tensor_data"]}

    @router.get("/v1/models", tags=["KServe v1"], summary="Models")
    async def models() -> dict[str, list[str]]:
        return {"models": list(dataplane.model_registry.get_models())}

    @router.get("/v1/models/{name}", tags=["KServe v1"], summary="Whether a model is ready")
    async def model(name: str) -> dict[str, Any]:
        await require_model(name)
        return {"name": name, "ready": True}

    @router.get("/v2/models/{name}", tags=["v2"], summary="Model metadata")
    async def model_metadata(name: str) -> dict[str, Any]:
        return {**await dataplane.model_metadata(name), "versions": [str(plane.pair.version)]}

    @router.get("/v2/models/{name}/ready", tags=["v2"], summary="Whether a model is ready")
    async def model_ready(name: str) -> dict[str, Any]:
        await require_model(name)
        return {"name": name, "ready": True}

    @router.get("/v1/drift", tags=["operations"], summary="The latest inputs beside those of training")
    async def drifted() -> dict[str, Any]:
        return drift.to_document()

    @router.get("/metrics", tags=["operations"], summary="Prometheus metrics", response_class=Response)
    async def prometheus() -> Response:
        admission = plane.admission
        metrics.queue.labels("working").set(admission.held - admission.waiting)
        metrics.queue.labels("waiting").set(admission.waiting)
        metrics.ready.set(plane.pair.status.ready)
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

    return router


def _id(request: Request) -> str:
    identifier: str = request.scope["covidctnet.request_id"]
    return identifier


def _json(document: dict[str, Any]) -> Response:
    return Response(orjson.dumps(document), media_type="application/json")


def _require_type(request: Request, allowed: set[str]) -> None:
    if request.headers.get("content-encoding", "identity") != "identity":
        raise WrongTypeError("send the body without content-encoding")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in allowed:
        raise WrongTypeError(f"send {' or '.join(sorted(filter(None, allowed)))}")
