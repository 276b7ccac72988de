"""A cluster in small: KServe's controller, a gateway with a load, pods that log, a clock, and what must always hold."""

import copy
import itertools
import json
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from covidctnet.rollout.machine import Pair
from covidctnet.rollout.policy import RolloutPolicy, parse_rollout_policy
from integrations.kubernetes_api import Cluster, Patience
from integrations.rollout.driver import Site
from integrations.rollout.manifests import RouteSettings, load_template
from integrations.rollout.store import Clock
from tests.helpers.kubernetes_api import TOKEN, kubernetes_api
from tests.helpers.kubernetes_objects import Api, Asked
from tests.helpers.kubernetes_patches import Manifest

A = Pair(pair_id="a" * 16, model_version="1", address="s3://bundles/" + "a" * 16)
B = Pair(pair_id="b" * 16, model_version="2", address="s3://bundles/" + "b" * 16)
C = Pair(pair_id="c" * 16, model_version="3", address="s3://bundles/" + "c" * 16)

_TEMPLATE = load_template("cpu")

QUICK: dict[str, Any] = {
    "name": "quick",
    "bounds": {
        "requests": 4, "error_rate": 0.1, "p95_seconds": 10, "p95_ratio": 2.0, "disagreement": 0.3, "restarts": 0,
    },
    "shadow": {"requests": 8, "seconds": 10, "patience_seconds": 300},
    "canary": [{"weight": 50, "observation": {"requests": 4, "seconds": 10, "patience_seconds": 300}}],
    "full": {"requests": 4, "seconds": 10, "patience_seconds": 300},
    "ready_seconds": 60,
    "poll_seconds": 10,
    "hold_seconds": 60,
}  # fmt: skip


def quick(**changes: Any) -> RolloutPolicy:
    """The policy of the tests, with other values."""
    return parse_rollout_policy(QUICK | changes)


@dataclass(frozen=True)
class Behaviour:
    """How a pair answers.

    Attributes:
        label: of each answer.
        status: of each request.
        seconds: of each request.
        speaks_as: `pair_id` in its answers; its own where empty.
        logs_answers: whether its settings say so.
    """

    label: str = "Control"
    status: int = 200
    seconds: float = 1.0
    speaks_as: str = ""
    logs_answers: bool = True


@dataclass
class World:
    """Everything around the program under test.

    Attributes:
        api: the Kubernetes API.
        behaviour: by `pair_id`.
        not_ready: pairs that KServe never calls ready.
        per_second: requests of the load.
        served: requests by the pair that answered.
        broken: what must not have been, in words.
    """

    api: Api = field(default_factory=Api)
    behaviour: dict[str, Behaviour] = field(default_factory=dict)
    not_ready: set[str] = field(default_factory=set)
    per_second: int = 1
    served: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    time: float = 1_800_000_000.0
    lines: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    _turns: Iterator[int] = field(default_factory=itertools.count)
    _was_routed: bool = False

    def __post_init__(self) -> None:
        self.api.on_write = lambda api, asked: self._after(asked)
        self.api.logs = lambda pod, since: self._log_of(pod, since)

    def copied(self) -> "World":
        """Another world that is as this one is now."""
        api = Api(
            schemas=self.api.schemas,
            version=self.api.version,
            objects=copy.deepcopy(self.api.objects),
            owners=copy.deepcopy(self.api.owners),
        )
        made = World(api=api, behaviour=dict(self.behaviour), lines=copy.deepcopy(self.lines), time=self.time)
        made._was_routed = self._was_routed
        return made

    @property
    def clock(self) -> Clock:
        """Time passes only where the program sleeps, and then the load goes on."""
        return Clock(now=lambda: self.time, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        """Some seconds of load."""
        with self.api.lock:
            for _ in range(max(1, int(seconds))):
                self.time += seconds / max(1, int(seconds))
                for _ in range(self.per_second):
                    self._request()

    @contextmanager
    def site(self, *, kind: type[Cluster] = Cluster) -> Iterator[Site]:
        """A site whose cluster is this world's, through its API over HTTP."""
        with kubernetes_api(self.api) as address:
            yield make_site(self, address, kind=kind)

    def pairs(self) -> set[str]:
        """Pairs that have any object."""
        labels = (item["metadata"].get("labels", {}) for item in self.api.objects.values())
        return {found["covidctnet-pair"] for found in labels if "covidctnet-pair" in found}

    def route(self) -> dict[str, int]:
        """Weights by pair, from the route."""
        found = self.api.of("httproutes").get("covidctnet")
        if found is None:
            return {}
        (rule,) = found["spec"]["rules"]
        return {_pair_of(one["name"]): one["weight"] for one in rule["backendRefs"]}

    def mirror(self) -> str | None:
        """Pair that gets copies."""
        found = self.api.of("httproutes").get("covidctnet")
        filters = found["spec"]["rules"][0].get("filters", []) if found else []
        return _pair_of(filters[0]["requestMirror"]["backendRef"]["name"]) if filters else None

    def state(self) -> dict[str, Any]:
        """What is kept of the roll-out."""
        return dict(json.loads(self.api.of("configmaps")["covidctnet-rollout"]["data"]["rollout.json"]))

    def is_ready(self, pair_id: str) -> bool:
        """Whether KServe says so."""
        found = self.api.of("inferenceservices").get(f"covidctnet-{pair_id}", {})
        return any(one["status"] == "True" for one in found.get("status", {}).get("conditions", []))

    def set_ready(self, pair_id: str, ready: bool) -> None:
        """Have KServe say so."""
        with self.api.lock:
            found = self.api.of("inferenceservices").get(f"covidctnet-{pair_id}")
            if found is not None:
                status = {"conditions": [{"type": "Ready", "status": str(ready)}]}
                self.api.store("inferenceservices", {**found, "status": status})

    def _after(self, asked: Asked) -> None:
        """KServe's controller, then what must hold after every single change."""
        services = self.api.of("inferenceservices")
        for name, item in services.items():
            pair_id = item["metadata"]["labels"]["covidctnet-pair"]
            if "status" not in item:
                self.set_ready(pair_id, pair_id not in self.not_ready)
                for half in ("transformer", "predictor"):
                    labels = {"serving.kserve.io/inferenceservice": name, "component": half}
                    status = {"containerStatuses": [{"name": "kserve-container", "restartCount": 0}]}
                    pod = {"metadata": {"name": f"{name}-{half}-0", "labels": labels}, "status": status}
                    self.api.store("pods", {"apiVersion": "v1", "kind": "Pod", **pod})
        for name, pod in list(self.api.of("pods").items()):
            if pod["metadata"]["labels"]["serving.kserve.io/inferenceservice"] not in services:
                self.api.remove("pods", name)
                self.lines.pop(name, None)
        self._check(asked)

    def _check(self, asked: Asked) -> None:
        where = f"after {asked.verb} {asked.resource}/{asked.name}"
        weights, mirror = self.route(), self.mirror()
        if weights and sum(weights.values()) != 100:
            self.broken.append(f"{where}: weights {weights}")
        if not weights and self._was_routed:
            self.broken.append(f"{where}: there is no route any more")
        self._was_routed = self._was_routed or bool(weights)
        for pair_id in {*weights, *([mirror] if mirror else [])}:
            found = self.api.of("inferenceservices").get(f"covidctnet-{pair_id}")
            if found is None:
                self.broken.append(f"{where}: the route leads to pair {pair_id}, which is not there")
            elif not is_whole(self.api, found, pair_id):
                self.broken.append(f"{where}: pair {pair_id} is no whole pair")

    def _request(self) -> None:
        """One request through the gateway: to one pair by weight, and a copy to the shadow."""
        weights, mirror = self.route(), self.mirror()
        if not weights:
            return
        spot = 37 * next(self._turns) % 100
        pair_id = next(
            one for one, end in zip(weights, itertools.accumulate(weights.values()), strict=True) if spot < end
        )
        if not self.is_ready(pair_id):
            self.served["nobody"] += 1
            return
        identifier = str(uuid.uuid4())
        self.served[pair_id] += 1
        self._log(pair_id, identifier)
        if mirror is not None:
            self._log(mirror, identifier)

    def _log(self, pair_id: str, identifier: str) -> None:
        behaviour = self.behaviour.get(pair_id, Behaviour())
        lines = self.lines.setdefault(f"covidctnet-{pair_id}-transformer-0", [])
        head = {
            "time": datetime.fromtimestamp(self.time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "request_id": identifier,
        }
        if behaviour.status == 200 and behaviour.logs_answers:
            said = {"event": "answer", "pair_id": behaviour.speaks_as or pair_id, "label": behaviour.label}
            lines.append((self.time, json.dumps(head | said | {"covid_positive": False})))
        rest = {"event": "request", "protocol": "plain", "status": behaviour.status, "seconds": behaviour.seconds}
        lines.append((self.time, json.dumps(head | rest)))

    def _log_of(self, pod: str, since: str) -> list[str]:
        start = datetime.fromisoformat(since).timestamp() if since else 0.0
        return ["not JSON", *(line for time, line in self.lines.get(pod, []) if time >= start)]


def is_whole(api: Api, service: Manifest, pair_id: str) -> bool:
    """Whether both halves of an InferenceService, and all around it, are of one pair and of no other."""
    spec = service["spec"]
    (container,) = spec["transformer"]["containers"]
    (storage,) = (one["value"] for one in container["env"] if one["name"] == "STORAGE_URI")
    runtime = f"covidctnet-tensorflow-serving-{pair_id}"
    return (
        storage == spec["predictor"]["model"]["storageUri"] == f"s3://bundles/{pair_id}"
        and f"--pair_id={pair_id}" in container["args"]
        and f"--predictor_host=covidctnet-{pair_id}-predictor:8500" in container["args"]
        and spec["predictor"]["model"]["runtime"] == runtime
        and runtime in api.of("servingruntimes")
        and {f"{name}-{pair_id}" for name in ("transformer", "predictor", "fetch-bundle")}
        <= set(api.of("networkpolicies"))
    )


def make_site(world: World, address: str, *, kind: type[Cluster] = Cluster) -> Site:
    """A site of a world whose API listens at an address."""
    from kubernetes import client

    configuration = client.Configuration()
    configuration.host, configuration.retries = address, False
    configuration.api_key = {"authorization": f"Bearer {TOKEN}"}
    patience = Patience(seconds=20.0, sleep=world.sleep, clock=world.clock.now)
    return Site(
        cluster=kind(client.ApiClient(configuration), world.api.namespace, patience),
        template=copy.deepcopy(_TEMPLATE),
        route=RouteSettings(name="covidctnet", gateway="gateways/hospital", hostnames=("ct.hospital.example",)),
        clock=world.clock,
    )


def reconnected(site: Site, world: World, *, kind: type[Cluster] = Cluster) -> Site:
    """The same site as a new process sees it."""
    return replace(site, cluster=kind(site.cluster._client, world.api.namespace, site.cluster._patience))


def _pair_of(backend: str) -> str:
    return backend.removeprefix("covidctnet-").removesuffix("-transformer")
