"""The state behind a small Kubernetes API: objects of one namespace, checked against the schemas of their kinds."""

import copy
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import jsonschema
import kubernetes_validate

from tests.helpers import crds
from tests.helpers.kubernetes_patches import Manifest, at, clean, drop, leaves, merged, stripped

Key = tuple[str, str]
"""Resource and name."""

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
        bare = clean(item)
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
        self.require(key)
        self.require_version(key, item["metadata"])
        self.check(resource, item)
        return self.store(resource, item)

    def merge(self, resource: str, name: str, patch: Manifest) -> Manifest:
        """A merge patch (RFC 7386)."""
        key = resource, name
        self.require(key)
        self.require_version(key, patch.get("metadata", {}))
        item = merged(self.objects[key], patch)
        self.check(resource, clean(item))
        return self.store(resource, item)

    def apply(self, resource: str, name: str, item: Manifest, *, manager: str, force: bool, dry: bool) -> Manifest:
        """Server-side apply: lists are taken as a whole, which is what the kinds of the roll-out do with theirs."""
        key = resource, name
        if not manager:
            raise RefusedError(400, "fieldManager is required for apply patch")
        self.require_version(key, item["metadata"])
        before = copy.deepcopy(self.objects.get(key, {}))
        given = dict(leaves(item))
        owners = dict(self.owners.get(key, {}))
        for path, value in given.items():
            other = owners.get(path, manager)
            if other != manager and at(before, path) != value and not force:
                raise RefusedError(409, f"conflict with {other}: {'.'.join(path)}")
        for path in [path for path, owner in owners.items() if owner == manager and path not in given]:
            drop(before, path)
            del owners[path]
        made = merged(before, stripped(item))
        self.check(resource, clean(made))
        if dry:
            made["metadata"].setdefault("namespace", self.namespace)
            return made
        self.owners[key] = owners | dict.fromkeys(given, manager)
        unchanged = key in self.objects and clean(made) == clean(self.objects[key])
        return self.objects[key] if unchanged else self.store(resource, made)

    def require(self, key: Key) -> None:
        """Refuse what is about an object that is not there."""
        if key not in self.objects:
            raise RefusedError(404, f'{key[0]} "{key[1]}" not found')
