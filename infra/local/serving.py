"""The serving pair of the local stack: the registered champion, by `covidctnet serve`."""

import importlib.util
import os
import sys
from pathlib import Path

from infra.local.access import Access
from infra.local.service import HOST, Service, StackError, answers, listens

_START = "from cli.main import main; main()"


def registered_champion(access: Access) -> int | None:
    """Version of the champion in the stack's registry; None where there is none, or nothing here can serve it."""
    if importlib.util.find_spec("kserve") is None:
        return None
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        found = MlflowClient(access.mlflow_uri, access.mlflow_uri).get_model_version_by_alias("covidctnet", "champion")
    except MlflowException:
        return None
    return int(found.version)


def require_free(port: int) -> None:
    """Refuse ports of serving that another program has, whose answers would be taken for those of the pair.

    Raises:
        StackError: the port for HTTP or the next one, for gRPC, is taken.
    """
    for number in (port, port + 1):
        if listens(number):
            raise StackError(f"port {number} is taken by another program; give serving another one with --port")


def make_serving(folder: Path, access: Access, version: int, port: int) -> Service:
    """Transformer and predictor on loopback, without tokens; both end with the command that started them.

    Args:
        folder: of the stack.
        access: of the stack.
        version: of the registered model.
        port: for HTTP; gRPC has the next one.
    """
    return Service(
        name="serving",
        command=[
            sys.executable, "-c", _START, "serve", "--no-auth", "--model", f"models:/covidctnet/{version}",
            "--tracking-uri", access.mlflow_uri, "--port", str(port), "--grpc-port", str(port + 1),
        ],
        environment={
            **access.client_environment(),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "PYTHONWARNINGS": "ignore",
        },
        log=folder / "serving.log",
        healthy=lambda: answers(f"http://{HOST}:{port}/v2/health/ready"),
        seconds=240.0,
    )  # fmt: skip
