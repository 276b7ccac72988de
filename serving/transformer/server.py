"""Puts the transformer together and runs it until SIGTERM."""

import asyncio
import contextlib
import functools
import logging
import signal
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import uvicorn
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from kserve import ModelRepository
from kserve.protocol.dataplane import DataPlane
from prometheus_client import REGISTRY
from starlette.exceptions import HTTPException

from covidctnet.bundle import Bundle, load_bundle
from covidctnet.errors import BundleError
from covidctnet.networks.saving import load_denoiser
from serving.admission import Admission
from serving.lifetime import announce
from serving.settings import ServingSettings
from serving.telemetry.drift import DriftWindow
from serving.telemetry.logs import quiet_tensorflow
from serving.telemetry.metrics import Metrics
from serving.telemetry.recorder import Recorder
from serving.telemetry.tracing import configure_tracing
from serving.tokens import TokenFile
from serving.transformer.classifier import RemoteClassifier
from serving.transformer.connections import BoundedConnection
from serving.transformer.edge import OPEN_PATHS, Edge, handle_error
from serving.transformer.fetching import Fetcher
from serving.transformer.grpc_server import InferenceService, TokenGate, start_grpc
from serving.transformer.model import CovidCTNetModel
from serving.transformer.openapi import describe_api
from serving.transformer.page import page_routes
from serving.transformer.pair import PairMonitor
from serving.transformer.plane import StudyPlane
from serving.transformer.progress import progress_routes
from serving.transformer.rehearsal import rehearse
from serving.transformer.routes import state_routes, study_routes
from serving.transformer.studies import StudyService

_LOG = logging.getLogger(__name__)
_ENVELOPE_BYTES = 1_000_000
_SMALL_CALLS = 8
"""Health and metadata beside the studies."""


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Where the transformer listens and whom it asks; port 0 is a free one."""

    host: str
    http_port: int
    grpc_port: int
    predictor: str
    model: str


@dataclass(frozen=True, kw_only=True)
class Transformer:
    """The parts that live as long as the server."""

    plane: StudyPlane
    classifier: RemoteClassifier
    metrics: Metrics
    drift: DriftWindow


def serve_transformer(
    bundle: Path,
    addresses: Addresses,
    *,
    settings: ServingSettings,
    tokens: TokenFile | None,
    spool: Path,
    pair_id: str = "",
    rehearse_seconds: float = 0.0,
) -> None:
    """Serve until SIGTERM: requests in flight finish, new ones are refused.

    SIGUSR1 comes before it where another server takes over: clients are asked to connect anew after each answer.

    Args:
        bundle: folder of the bundle whose denoiser runs here.
        addresses: where to listen, whom to ask.
        settings: limits and times.
        tokens: who may ask; None only on loopback.
        spool: where uploads go while they are worked on.
        pair_id: serve no other bundle than this; any where empty.
        rehearse_seconds: how long a made-up study may take before it listens; 0 for none.

    Raises:
        BundleError: the folder is no intact bundle, or another one.
        ServingError: the rehearsal failed.
        OSError: a port is taken.
    """
    opened = load_bundle(bundle)
    if pair_id and opened.pair_id != pair_id:
        raise BundleError(f"the folder holds bundle {opened.pair_id}, not {pair_id}; correct its address")
    if opened.config.residual.backend == "tensorflow":
        quiet_tensorflow()
    denoiser = load_denoiser(opened.folder, opened.config.residual)
    _warm_up(denoiser, opened)
    if rehearse_seconds > 0:
        rehearse(
            opened,
            denoiser,
            predictor=addresses.predictor,
            model=addresses.model,
            settings=settings.predictor,
            seconds=rehearse_seconds,
        )
    finish_traces = configure_tracing()
    try:
        asyncio.run(_run(opened, denoiser, addresses, settings, tokens, spool))
    finally:
        finish_traces()


def _warm_up(denoiser: Any, bundle: Bundle) -> None:
    config = bundle.config
    denoiser(np.zeros((config.residual.batch_size, *config.preprocess.slice_size, 1), np.float32))


def _assemble(
    bundle: Bundle, denoiser: Any, addresses: Addresses, settings: ServingSettings, spool: Path
) -> Transformer:
    version = bundle.serving_version
    classifier = RemoteClassifier(addresses.predictor, addresses.model, version, settings.predictor)
    pair = PairMonitor(addresses.predictor, addresses.model, bundle, settings.predictor)
    admission = Admission(settings.admission)
    metrics, drift = Metrics(REGISTRY), DriftWindow(bundle.reference, settings.telemetry)
    model = CovidCTNetModel(
        addresses.model,
        service=StudyService(bundle, denoiser=denoiser, classifier=classifier, limits=settings.upload),
        admission=admission,
        pair=pair,
        recorder=Recorder(metrics, drift, log_answers=settings.telemetry.log_answers),
    )
    repository = ModelRepository()
    repository.update(model)
    plane = StudyPlane(DataPlane(repository), admission=admission, pair=pair, settings=settings, spool=spool)
    return Transformer(plane=plane, classifier=classifier, metrics=metrics, drift=drift)


async def _run(
    bundle: Bundle,
    denoiser: Any,
    addresses: Addresses,
    settings: ServingSettings,
    tokens: TokenFile | None,
    spool: Path,
) -> None:
    parts = _assemble(bundle, denoiser, addresses, settings, spool)
    listener = socket.create_server((addresses.host, addresses.http_port), backlog=128)
    http_port: int = listener.getsockname()[1]
    grace = settings.admission.drain_seconds
    edge: Edge

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        grpc_server, grpc_port = await start_grpc(
            InferenceService(parts.plane, parts.metrics),
            None if tokens is None else TokenGate(tokens, parts.metrics),
            host=addresses.host,
            port=addresses.grpc_port,
            max_message_bytes=min(2**31 - 1, settings.upload.max_grpc_bytes + _ENVELOPE_BYTES),
            max_calls=settings.admission.workers + settings.admission.queue + _SMALL_CALLS,
            connection_seconds=settings.admission.grpc_connection_seconds,
        )
        parts.plane.pair.start()
        stopping: list[asyncio.Task[None]] = []

        def stop() -> None:
            _LOG.info("stopping; requests in flight finish, new ones are refused")
            parts.plane.admission.close()
            # Both protocols at once, so that both have the whole grace.
            if not stopping:
                stopping.append(asyncio.create_task(grpc_server.stop(grace)))
            server.should_exit = True

        # Here, since the HTTP server has put up handlers of its own just before.
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, edge.send_away)
        announce("transformer", http=http_port, grpc=grpc_port)
        yield
        # Not once more: a second, shorter grace would cut off what is still being answered.
        await asyncio.gather(*(stopping[:1] or [asyncio.create_task(grpc_server.stop(grace))]))
        await parts.plane.pair.stop()
        parts.classifier.close()
        parts.plane.admission.shut_down()

    app = build_app(parts, bundle, addresses.model, settings, protected=tokens is not None, lifespan=lifespan)
    edge = Edge(app, tokens=tokens, metrics=parts.metrics)
    config = uvicorn.Config(
        edge,
        log_config=None,
        access_log=False,
        server_header=False,
        # It bounds the headers of a request (64 kB); httptools keeps them without end, before any token is asked for.
        # Nor is an unfinished one waited for without end.
        http=cast("Any", functools.partial(BoundedConnection, seconds=settings.upload.seconds)),
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=int(grace),
    )
    server = uvicorn.Server(config)
    await server.serve([listener])


def build_app(
    parts: Transformer, bundle: Bundle, model: str, settings: ServingSettings, *, protected: bool, lifespan: Any
) -> FastAPI:
    """The HTTP application, without its edge; `protected` is what it says of itself, the edge asks for tokens."""
    app = FastAPI(
        title="CovidCTNet",
        version=bundle.pair_id,
        description="Chest-CT triage. Research use only. Not a medical device.",
        docs_url=None,
        redoc_url=None,
        # Its own spans and records hold paths, queries and messages of exceptions, which may name a patient.
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
        lifespan=lifespan,
    )
    app.include_router(study_routes(parts.plane, model, Fetcher(settings.fetch, settings.upload)))
    app.include_router(state_routes(parts.plane, parts.metrics, parts.drift))
    app.include_router(progress_routes(parts.plane.progress))
    app.include_router(page_routes())
    for kind in (Exception, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, handle_error)
    app.openapi = functools.cache(lambda: describe_api(app, protected=protected, open_paths=OPEN_PATHS))  # type: ignore[method-assign]
    return app
