"""A small Kubernetes API over HTTP: objects of one namespace, checked against the schemas of their kinds.

It speaks GET, LIST by labels, POST, PUT, DELETE, merge patch, server-side apply with field owners and dry run, watch
and logs of pods; it refuses a stale `resourceVersion` with 409, an unknown field with 422 and a wrong token with 401.
"""

import copy
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.helpers.kubernetes_objects import GROUPS, SILENT, SILENT_SECONDS, Api, Asked, Fault, Key, RefusedError
from tests.helpers.kubernetes_patches import Manifest, fits

TOKEN = "a-token-of-the-test"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    api: Api

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_PUT(self) -> None:
        self._handle()

    def do_PATCH(self) -> None:
        self._handle()

    def do_DELETE(self) -> None:
        self._handle()

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        words = parts.path.strip("/").split("/")
        start = words.index("namespaces") if "namespaces" in words else -1
        if self.headers.get("authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"message": "Unauthorized"})
            return
        if start < 0 or words[start + 1] != self.api.namespace or words[start + 2] not in GROUPS:
            self._answer(404, {"message": f"{parts.path} is not served here"})
            return
        resource, name = words[start + 2], words[start + 3] if len(words) > start + 3 else ""
        group, version, _ = GROUPS[resource]
        if words[:start] != (["apis", group, version] if group else ["api", version]):
            self._answer(404, {"message": f"{parts.path} is not served here"})
            return
        subresource = "/log" if words[start + 4 :] == ["log"] else ""
        asked = Asked(self.command, self._verb(name, query), group, resource + subresource, name)
        with self.api.lock:
            self.api.asked.append(asked)
            fault = self.api.fault(asked)
        if fault is not None and not fault.after:
            self._break(fault)
            return
        if asked.verb == "watch":
            self._watch(resource, query)
            return
        try:
            with self.api.lock:
                answer = self._do(asked, resource, name, query, body)
                answer = answer if isinstance(answer, str) else copy.deepcopy(answer)
                if self.command != "GET" and "dryRun" not in query:
                    self.api.on_write(self.api, asked)
        except RefusedError as error:
            self._answer(error.status, {"kind": "Status", "message": str(error), "code": error.status})
            return
        if fault is not None:
            self._break(fault)
            return
        self._answer(200, answer)

    def _verb(self, name: str, query: dict[str, str]) -> str:
        if self.command == "GET":
            return "get" if name else ("watch" if query.get("watch") == "true" else "list")
        return {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[self.command]

    def _do(self, asked: Asked, resource: str, name: str, query: dict[str, str], body: bytes) -> Any:
        api, key = self.api, (resource, name)
        if asked.resource == "pods/log":
            api.require(key)
            return "\n".join(api.logs(name, query.get("sinceTime", "")))
        if asked.verb == "list":
            items = [item for item in api.of(resource).values() if fits(item, query.get("labelSelector", ""))]
            return {"items": items, "metadata": {"resourceVersion": str(api.version)}}
        if asked.verb in {"get", "delete"}:
            api.require(key)
            item = api.objects[key]
            if asked.verb == "delete":
                api.remove(resource, name)
            return item
        item = yaml.safe_load(body)
        if asked.verb == "create":
            return api.create(resource, item)
        if item.get("metadata", {}).get("name", name) != name:
            raise RefusedError(400, "the name of the object is not that of the request")
        if asked.verb == "update":
            return api.replace(resource, name, item)
        kind = self.headers["Content-Type"]
        if kind == "application/merge-patch+json":
            return api.merge(resource, name, item)
        if kind == "application/apply-patch+yaml":
            return api.apply(
                resource, name, item, manager=query.get("fieldManager", ""), force=query.get("force") == "true",
                dry="dryRun" in query,
            )  # fmt: skip
        raise RefusedError(415, f"{kind} is not taken here")

    def _watch(self, resource: str, query: dict[str, str]) -> None:
        name = query.get("fieldSelector", "").removeprefix("metadata.name=")
        seen = int(query.get("resourceVersion") or 0)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        with self.api.lock:
            # Short: clocks of tests stand still, and whoever watches looks again.
            self.api.changed.wait_for(lambda: bool(self._news(resource, name, seen)), timeout=0.02)
            news = self._news(resource, name, seen)
        for _, kind, _, item in news:
            self.wfile.write(json.dumps({"type": kind, "object": item}).encode() + b"\n")

    def _news(self, resource: str, name: str, seen: int) -> list[tuple[int, str, Key, Manifest]]:
        return [event for event in self.api.events if event[0] > seen and event[2] == (resource, name)]

    def _break(self, fault: Fault) -> None:
        if fault.status == SILENT:
            time.sleep(SILENT_SECONDS)
        if fault.status > 0:
            self._answer(fault.status, {"kind": "Status", "message": "a fault of the test", "code": fault.status})
        else:
            self.close_connection = True

    def _answer(self, status: int, content: Any) -> None:
        body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(content, str) else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


@contextmanager
def kubernetes_api(api: Api) -> Iterator[str]:
    """Serve an API on a free port of this machine; yields its address."""
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"api": api}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def write_kubeconfig(path: Any, address: str, *, namespace: str = "covidctnet") -> None:
    """A kubeconfig that names the server and the token."""
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "test", "cluster": {"server": address}}],
                "users": [{"name": "test", "user": {"token": TOKEN}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
                "current-context": "test",
            }
        )
    )
