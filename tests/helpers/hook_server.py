"""A small HTTP server that takes webhooks and answers as a test tells it."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class HookServer:
    """Answers to the next posts, then 200; and what was posted."""

    answers: list[int] = field(default_factory=list)
    url: str = ""
    took: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    elsewhere: int = 0


@contextmanager
def hook_server(*answers: int, tls: ssl.SSLContext | None = None) -> Iterator[HookServer]:
    """Serve until the block ends; a 3xx answer points at another path."""
    told = HookServer(answers=list(answers))

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path != "/hook":
                told.elsewhere += 1
            told.took.append(({name.lower(): value for name, value in self.headers.items()}, body))
            status = told.answers.pop(0) if told.answers else 200
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    told.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
