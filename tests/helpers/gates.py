"""A gate before a real MLflow server: while it is shut, connections are refused, as from a server that is down."""

import contextlib
import socket
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local.service import HOST, Service, free_ports


class Gate:
    """Forwards connections to a port while it is open."""

    def __init__(self, target: int) -> None:
        (self.port,) = free_ports(1)
        self._target = target
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []

    @property
    def uri(self) -> str:
        return f"http://{HOST}:{self.port}"

    @classmethod
    @contextmanager
    def to_mlflow(cls, folder: Path) -> "Iterator[Gate]":
        """An MLflow server on SQLite, with an open gate before it."""
        (port,) = free_ports(1)

        def healthy() -> bool:
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=5) as answer,
            ):
                return bool(answer.status == 200)
            return False

        server = Service(
            name="MLflow",
            command=[
                sys.executable,
                "-m",
                "mlflow",
                "server",
                "--host",
                HOST,
                "--port",
                str(port),
                "--workers",
                "1",
                "--backend-store-uri",
                f"sqlite:///{folder}/mlflow.db",
                "--artifacts-destination",
                str(folder / "files"),
            ],
            environment={"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            log=folder / "mlflow.log",
            healthy=healthy,
        )
        server.start()
        gate = cls(port)
        gate.open()
        try:
            yield gate
        finally:
            gate.close()
            server.stop()

    def open(self) -> None:
        self._listener = socket.create_server((HOST, self.port), reuse_port=False)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        """Refuse new connections and cut those that are there."""
        for end in [*([self._listener] if self._listener else []), *self._open]:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._open.clear()
        self._listener = None

    @contextmanager
    def shut(self) -> Iterator[None]:
        self.close()
        try:
            yield
        finally:
            self.open()

    @contextmanager
    def shut_for(self, seconds: float) -> Iterator[None]:
        """Shut now, and open by itself after some seconds."""
        self.close()
        timer = threading.Timer(seconds, self.open)
        timer.start()
        try:
            yield
        finally:
            timer.join()

    @contextmanager
    def shut_later(self) -> "Iterator[Callable[[], None]]":
        """Give a function that shuts; the gate is open again at the end."""
        try:
            yield self.close
        finally:
            self.open()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
                far = socket.create_connection((HOST, self._target))
            except OSError:
                return
            self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=_copy, args=(source, sink), daemon=True).start()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
