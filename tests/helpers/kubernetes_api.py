"""A small Kubernetes API over HTTP: objects of one namespace, checked against the schemas of their kinds.

It speaks GET, LIST by labels, POST, PUT, DELETE, merge patch, server-side apply with field owners and dry run, watch
and logs of pods; it refuses a stale `resourceVersion` with 409, an unknown field with 422 and a wrong token with 401.
"""

import copy
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema
import kubernetes_validate
import yaml

from tests.helpers import crds

Manifest = dict[str, Any]
Key = tuple[str, str]
"""Resource and name."""

TOKEN = "a-token-of-the-test"
GROUPS = {
    "configmaps": ("", "v1", "ConfigMap"),
    "pods": ("", "v1", "Pod"),
    "networkpolicies": ("networking.k8s.io", "v1", "NetworkPolicy"),
    "poddisruptionbudgets": ("policy", "v1", "PodDisruptionBudget"),
    "inferenceservices": ("serving.kserve.io", "v1beta1", "InferenceService"),
    "servingruntimes": ("serving.kserve.io", "v1alpha1", "ServingRuntime"),
    "httproutes": ("gateway.networking.k8s.io", "v1", "HTTPRoute"),
}


_FITTING: set[str] = set()
"""Objects that were checked before: a schema of 20,000 lines takes its time."""


SILENT, SILENT_SECONDS = -1, 1.0


class RefusedError(Exception):
    """An answer other than the object."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Fault:
    """What happens to one request.

    Attributes:
        status: answered instead of the object, 0 to cut the connection, `SILENT` to leave it open for a while.
        after: do what was asked first, so that only the answer is lost.
    """

    status: int
    after: bool = False


@dataclass
class Asked:
    """One request."""

    method: str
    verb: str
    group: str
    resource: str
    name: str


@dataclass
class Api:
    """The state behind the server.

    Attributes:
        objects: by resource and name.
        logs: lines by pod.
        asked: every request, in order.
        on_write: told after each change, for controllers and invariants.
        fault: may break a request; told what is asked.
    """

    namespace: str = "covidctnet"
    objects: dict[Key, Manifest] = field(default_factory=dict)
    logs: Callable[[str, str], list[str]] = lambda pod, since: []
    asked: list[Asked] = field(default_factory=list)
    on_write: Callable[["Api", Asked], None] = lambda api, asked: None
    fault: Callable[[Asked], Fault | None] = lambda asked: None
    schemas: bool = True
    version: int = 0
    owners: dict[Key, dict[tuple[str, ...], str]] = field(default_factory=dict)
    events: list[tuple[int, str, Key, Manifest]] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    changed: threading.Condition = field(init=False)

    def __post_init__(self) -> None:
        self.changed = threading.Condition(self.lock)

    def of(self, resource: str) -> dict[str, Manifest]:
        """Objects of a resource by name."""
        return {name: item for (kind, name), item in self.objects.items() if kind == resource}

    def store(self, resource: str, item: Manifest, *, event: str = "MODIFIED") -> Manifest:
        """Keep an object as a controller does, without checks."""
        with self.lock:
            key = resource, item["metadata"]["name"]
            self.version += 1
            metadata = item["metadata"]
            metadata["resourceVersion"] = str(self.version)
            metadata.setdefault("namespace", self.namespace)
            metadata.setdefault("uid", f"uid-{self.version}")
            before = self.objects.get(key)
            spec_changed = before is None or before.get("spec") != item.get("spec")
            metadata["generation"] = (before or {}).get("metadata", {}).get("generation", 0) + int(spec_changed)
            self.objects[key] = item
            self.events.append((self.version, "ADDED" if before is None else event, key, copy.deepcopy(item)))
            self.changed.notify_all()
            return item

    def remove(self, resource: str, name: str) -> None:
        """Remove an object, if it is there."""
        with self.lock:
            item = self.objects.pop((resource, name), None)
            self.owners.pop((resource, name), None)
            if item is not None:
                self.version += 1
                self.events.append((self.version, "DELETED", (resource, name), item))
                self.changed.notify_all()

    def check(self, resource: str, item: Manifest) -> None:
        """Refuse what does not fit its kind."""
        group, version, kind = GROUPS[resource]
        expected = f"{group}/{version}" if group else version
        if (item.get("apiVersion"), item.get("kind")) != (expected, kind):
            raise RefusedError(400, f"{item.get('apiVersion')} {item.get('kind')} is no {expected} {kind}")
        if item["metadata"].get("namespace", self.namespace) != self.namespace:
            raise RefusedError(400, "the namespace of the object is not that of the request")
        bare = _clean(item)
        text = json.dumps(bare, sort_keys=True)
        if text in _FITTING:
            return
        try:
            if kind in {"InferenceService", "ServingRuntime", "HTTPRoute"}:
                if self.schemas:
                    crds.check(bare)
            else:
                kubernetes_validate.validate(bare, "1.30", strict=True)
        except (jsonschema.ValidationError, kubernetes_validate.ValidationError) as error:
            raise RefusedError(422, f"{kind} is invalid: {error.message}") from None
        _FITTING.add(text)

    def require_version(self, key: Key, metadata: Manifest) -> None:
        """Refuse a change of another version than the one that is there."""
        given = metadata.get("resourceVersion")
        if given is None:
            return
        if key not in self.objects:
            raise RefusedError(409, f"{key[1]} is gone")
        if given != self.objects[key]["metadata"]["resourceVersion"]:
            raise RefusedError(409, f"the object has been modified; {given} is not the latest version of {key[1]}")

    def create(self, resource: str, item: Manifest) -> Manifest:
        """POST."""
        if (resource, item["metadata"]["name"]) in self.objects:
            raise RefusedError(409, f'{resource} "{item["metadata"]["name"]}" already exists')
        self.check(resource, item)
        return self.store(resource, item)

    def replace(self, resource: str, name: str, item: Manifest) -> Manifest:
        """PUT."""
        key = resource, name
        self._require(key)
        self.require_version(key, item["metadata"])
        self.check(resource, item)
        return self.store(resource, item)

    def merge(self, resource: str, name: str, patch: Manifest) -> Manifest:
        """A merge patch (RFC 7386)."""
        key = resource, name
        self._require(key)
        self.require_version(key, patch.get("metadata", {}))
        item = _merged(self.objects[key], patch)
        self.check(resource, _clean(item))
        return self.store(resource, item)

    def apply(self, resource: str, name: str, item: Manifest, *, manager: str, force: bool, dry: bool) -> Manifest:
        """Server-side apply: lists are taken as a whole, which is what the kinds of the roll-out do with theirs."""
        key = resource, name
        if not manager:
            raise RefusedError(400, "fieldManager is required for apply patch")
        self.require_version(key, item["metadata"])
        before = copy.deepcopy(self.objects.get(key, {}))
        leaves = dict(_leaves(item))
        owners = dict(self.owners.get(key, {}))
        for path, value in leaves.items():
            other = owners.get(path, manager)
            if other != manager and _at(before, path) != value and not force:
                raise RefusedError(409, f"conflict with {other}: {'.'.join(path)}")
        for path in [path for path, owner in owners.items() if owner == manager and path not in leaves]:
            _drop(before, path)
            del owners[path]
        made = _merged(before, _stripped(item))
        self.check(resource, _clean(made))
        if dry:
            made["metadata"].setdefault("namespace", self.namespace)
            return made
        self.owners[key] = owners | dict.fromkeys(leaves, manager)
        unchanged = key in self.objects and _clean(made) == _clean(self.objects[key])
        return self.objects[key] if unchanged else self.store(resource, made)

    def _require(self, key: Key) -> None:
        if key not in self.objects:
            raise RefusedError(404, f'{key[0]} "{key[1]}" not found')


def _clean(item: Manifest) -> Manifest:
    """An object without what only the server sets."""
    theirs = {"resourceVersion", "uid", "generation", "managedFields"}
    metadata = {name: value for name, value in item["metadata"].items() if name not in theirs}
    return {**{name: value for name, value in item.items() if name != "status"}, "metadata": metadata}


def _stripped(item: Manifest) -> Manifest:
    metadata = {name: value for name, value in item["metadata"].items() if name != "resourceVersion"}
    return {**item, "metadata": metadata}


def _merged(old: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = copy.deepcopy(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merged(result.get(name), value)
    return result


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict) and value:
        for name, one in value.items():
            if (*path, name) not in {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "resourceVersion")}:
                yield from _leaves(one, (*path, name))
    else:
        yield path, value


def _at(item: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        item = item.get(name) if isinstance(item, dict) else None
    return item


def _drop(item: Any, path: tuple[str, ...]) -> None:
    *way, last = path
    for name in way:
        item = item.get(name, {}) if isinstance(item, dict) else {}
    if isinstance(item, dict):
        item.pop(last, None)


def _fits(item: Manifest, selector: str) -> bool:
    labels = item["metadata"].get("labels", {})
    for term in filter(None, selector.split(",")):
        name, unlike, value = term.partition("!=")
        if unlike:
            if labels.get(name) == value:
                return False
            continue
        name, equal, value = term.partition("=")
        if name not in labels or (equal and labels[name] != value):
            return False
    return True


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
            api._require(key)
            return "\n".join(api.logs(name, query.get("sinceTime", "")))
        if asked.verb == "list":
            items = [item for item in api.of(resource).values() if _fits(item, query.get("labelSelector", ""))]
            return {"items": items, "metadata": {"resourceVersion": str(api.version)}}
        if asked.verb in {"get", "delete"}:
            api._require(key)
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
