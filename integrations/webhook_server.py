"""The receiver's HTTPS: one path, small bodies, short time-outs, nothing told to whoever is not trusted."""

import logging
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from covidctnet.errors import ConfigError
from integrations.registry_webhook import RegistryWebhook

_LOGGER = logging.getLogger(__name__)
_MOST_BYTES = 64 * 1024
_MOST_SECONDS = 10.0
_MOST_AT_ONCE = 16


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext, webhook: RegistryWebhook, path: str) -> None:
        self.context, self.webhook, self.path = context, webhook, path
        self.slots = threading.BoundedSemaphore(_MOST_AT_ONCE)
        super().__init__(address, _Handler)

    def process_request_thread(self, request, client_address) -> None:  # type: ignore[no-untyped-def]
        # The handshake belongs to the connection's thread: a silent client must not stop the others.
        if not self.slots.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            request.settimeout(_MOST_SECONDS)
            try:
                request = self.context.wrap_socket(request, server_side=True)
            except (OSError, ValueError):
                self.shutdown_request(request)
                return
            super().process_request_thread(request, client_address)
        finally:
            self.slots.release()

    def handle_error(self, request, client_address) -> None:  # type: ignore[no-untyped-def]
        _LOGGER.warning("a connection to the receiver broke")


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "covidctnet", ""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of clients; what matters is logged where it is decided."""

    def do_POST(self) -> None:
        if self.path != self.server.path:
            self._answer(HTTPStatus.NOT_FOUND)
            return
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit():
            self._answer(HTTPStatus.LENGTH_REQUIRED)
        elif int(length) > _MOST_BYTES:
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            self._answer(self.server.webhook.take(dict(self.headers.items()), self.rfile.read(int(length))))

    def _answer(self, status: HTTPStatus) -> None:
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()


@contextmanager
def serve_webhook(
    webhook: RegistryWebhook, *, host: str, port: int, certificate: Path, key: Path, path: str = "/registry"
) -> Iterator[int]:
    """Listen until the block ends; yields the port.

    Args:
        webhook: takes the deliveries.
        host: address to listen on.
        port: 0 for a free one.
        certificate: of the server, in PEM.
        key: its private key, in PEM.
        path: where MLflow posts to.

    Raises:
        ConfigError: certificate or key cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError):
        raise ConfigError("certificate and key of the receiver cannot be used; give both in PEM") from None
    server = _Server((host, port), context, webhook, path)
    thread = threading.Thread(target=server.serve_forever, name="receiver")
    webhook.start()
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        webhook.stop()
