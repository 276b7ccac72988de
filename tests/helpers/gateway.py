"""A gateway in small: sends each request whole to one backend of an HTTPRoute by weight, and copies to its mirror."""

import itertools
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx


@contextmanager
def gateway(route: Callable[[], dict[str, Any]], addresses: dict[str, str]) -> Iterator[str]:
    """Serve on a free port of this machine; yields the address.

    Args:
        route: the HTTPRoute as it is now.
        addresses: where each backend of it listens, by the backend's name.
    """
    turns = itertools.count()
    mirrors = ThreadPoolExecutor(2)

    def forward(address: str, path: str, headers: dict[str, str], body: bytes) -> httpx.Response:
        return httpx.post(f"{address}{path}", content=body, headers=headers, timeout=120)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {"content-type": self.headers["Content-Type"], "x-request-id": str(uuid.uuid4())}
            (rule,) = route()["spec"]["rules"]
            for one in rule.get("filters", []):
                name = one["requestMirror"]["backendRef"]["name"]
                mirrors.submit(forward, addresses[name], self.path, headers, body)
            spot = 37 * next(turns) % 100
            ends = itertools.accumulate(one["weight"] for one in rule["backendRefs"])
            backend = next(one["name"] for one, end in zip(rule["backendRefs"], ends, strict=True) if spot < end)
            answer = forward(addresses[backend], self.path, headers, body)
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers["content-type"])
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        mirrors.shutdown()
