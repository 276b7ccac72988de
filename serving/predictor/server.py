"""The embedded predictor's server."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from covidctnet.machine import usable_cores
from serving.lifetime import announce, on_stop
from serving.messages import model_service_pb2_grpc, prediction_service_pb2_grpc
from serving.predictor.models import ModelStore
from serving.predictor.services import ModelService, PredictionService
from serving.settings import PredictorSettings

_LOG = logging.getLogger(__name__)


def serve_models(*, name: str, base_path: Path, host: str, port: int, settings: PredictorSettings) -> None:
    """Serve the version folders below a base path until SIGTERM; calls in flight then finish.

    Args:
        name: of the model.
        base_path: holds one SavedModel folder a version.
        host: address to listen on.
        port: TCP port, 0 for a free one.
        settings: limits.

    Raises:
        OSError: the port is taken.
    """
    stopped = threading.Event()
    on_stop(stopped.set)
    store = ModelStore(name, base_path)
    store.refresh()
    limit = settings.max_message_bytes
    server = grpc.server(
        ThreadPoolExecutor(2 * usable_cores()),
        options=[
            ("grpc.max_receive_message_length", limit),
            ("grpc.max_send_message_length", limit),
            # Two predictors on one port would share the requests, whichever pair they serve.
            ("grpc.so_reuseport", 0),
        ],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionService(store), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(store), server)
    try:
        bound = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError as error:
        raise OSError(98, f"port {port} cannot be listened on") from error
    server.start()
    announce("predictor", grpc=bound)
    while not stopped.wait(settings.version_poll_seconds):
        store.refresh()
    _LOG.info("stopping; calls in flight finish")
    server.stop(settings.drain_seconds).wait()
