"""What a pair is in the cluster, and the route before the pairs: pure functions over manifests.

The template is what `kubectl kustomize` makes of an overlay, so that a site says its images, resources and settings in
one place. Every object that belongs to one pair gets the pair's name, and is never changed to serve another.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from covidctnet.errors import ConfigError, RolloutError
from covidctnet.rollout.machine import Pair, Split
from integrations.kubernetes_api import FIELD_MANAGER, Manifest

OF_A_PAIR = ("InferenceService", "ServingRuntime", "PodDisruptionBudget", "NetworkPolicy")
"""Kinds that a pair has for itself, in the order in which they are removed."""

PAIR_LABEL, MANAGED_LABEL = "covidctnet-pair", "app.kubernetes.io/managed-by"
_SERVICE_LABEL = "serving.kserve.io/inferenceservice"
_VERSION, _ADDRESS = "covidctnet-model-version", "covidctnet-bundle"
_PORT = 80
"""Of the service that KServe makes for a transformer."""


@dataclass(frozen=True, kw_only=True)
class RouteSettings:
    """The route that clients come by.

    Attributes:
        name: of the HTTPRoute.
        gateway: `NAMESPACE/NAME` or `NAME` of the Gateway.
        hostnames: that it answers for; all where empty.
        timeout: of a request, longer than the transformer's own.
    """

    name: str
    gateway: str
    hostnames: tuple[str, ...] = ()
    timeout: str = "330s"


def template_names() -> list[str]:
    """Names of the templates that the package ships."""
    folder = resources.files("integrations.rollout") / "templates"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_template(name_or_path: str) -> list[Manifest]:
    """A shipped template by name, or what `kubectl kustomize` wrote to a file.

    Raises:
        ConfigError: there is no such template, or it does not hold one InferenceService with its ServingRuntime.
    """
    if name_or_path in template_names():
        text = (resources.files("integrations.rollout") / "templates" / f"{name_or_path}.yaml").read_text("utf-8")
    elif Path(name_or_path).is_file():
        text = Path(name_or_path).read_text("utf-8")
    else:
        raise ConfigError(
            f"there is no template {Path(name_or_path).name!r}; use one of {', '.join(template_names())} or a file "
            "that `kubectl kustomize OVERLAY` wrote"
        )
    try:
        objects = [item for item in yaml.safe_load_all(text) if item]
    except yaml.YAMLError as error:
        raise ConfigError(f"template {Path(name_or_path).name!r} is not YAML: {error}") from None
    for kind in ("InferenceService", "ServingRuntime"):
        count = sum(isinstance(item, dict) and item.get("kind") == kind for item in objects)
        if count != 1:
            raise ConfigError(f"template {Path(name_or_path).name!r} holds {count} objects of kind {kind}, not one")
    return objects


def base_name(template: Iterable[Manifest]) -> str:
    """Name of the template's InferenceService, which those of all pairs begin with."""
    return str(_one(template, "InferenceService")["metadata"]["name"])


def service_name(template: Iterable[Manifest], pair_id: str) -> str:
    """Name of a pair's InferenceService."""
    return f"{base_name(template)}-{pair_id}"


def render_pair(template: list[Manifest], pair: Pair) -> list[Manifest]:
    """The objects of one pair, and the settings that it names, in the order in which they are made.

    Args:
        template: of the site.
        pair: which bundle.

    Raises:
        RolloutError: the template does not say its bundle, predictor or runtime where this release looks for them.
    """
    service = base_name(template)
    rendered = []
    for item in template:
        if item["kind"] == "ConfigMap":
            rendered.append(_tidy(copy.deepcopy(item)))
        elif item["kind"] in OF_A_PAIR and (item["kind"] != "NetworkPolicy" or _mentions(item, service)):
            own = _rename(copy.deepcopy(item), service, f"{service}-{pair.pair_id}")
            own["metadata"]["name"] = f"{item['metadata']['name']}-{pair.pair_id}"
            labels = own["metadata"].setdefault("labels", {})
            labels.update({PAIR_LABEL: pair.pair_id, MANAGED_LABEL: FIELD_MANAGER})
            rendered.append(_tidy(own))
    _point(_one(rendered, "InferenceService"), service, pair)
    order = ["ConfigMap", *reversed(OF_A_PAIR)]
    return sorted(rendered, key=lambda item: order.index(item["kind"]))


def _point(own: Manifest, service: str, pair: Pair) -> None:
    """Have an InferenceService serve a bundle, and refuse every other."""
    metadata = own["metadata"]
    # The route is the only way in: KServe makes no ingress of its own.
    metadata["labels"]["networking.kserve.io/visibility"] = "cluster-local"
    metadata.setdefault("annotations", {}).update({_VERSION: pair.model_version, _ADDRESS: pair.address})
    try:
        model = own["spec"]["predictor"]["model"]
        (container,) = own["spec"]["transformer"]["containers"]
        (storage,) = (one for one in container["env"] if one["name"] == "STORAGE_URI")
        model["storageUri"] = storage["value"] = pair.address
        model["runtime"] = f"{model['runtime']}-{pair.pair_id}"
        flags = container["args"]
        (number,) = (index for index, flag in enumerate(flags) if flag.startswith(f"--predictor_host={service}-pred"))
    except (KeyError, TypeError, ValueError) as error:
        raise RolloutError(
            f"the template's InferenceService {service} is not like that of infra/serving/base ({error!r})"
        ) from None
    flags[number] = flags[number].replace(f"={service}-", f"={metadata['name']}-", 1)
    flags.append(f"--pair_id={pair.pair_id}")


def render_route(settings: RouteSettings, service: str, split: Split) -> Manifest:
    """The HTTPRoute that sends requests as a split says.

    Args:
        settings: of the site.
        service: name of the template's InferenceService.
        split: with at least one pair.
    """
    space, _, gateway = settings.gateway.rpartition("/")
    rule: Manifest = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "backendRefs": [_backend(service, pair) | {"weight": weight} for pair, weight in split.weights.items()],
        "timeouts": {"request": settings.timeout},
    }
    if split.mirror is not None:
        rule["filters"] = [{"type": "RequestMirror", "requestMirror": {"backendRef": _backend(service, split.mirror)}}]
    spec: Manifest = {
        "parentRefs": [{"name": gateway} | ({"namespace": space} if space else {})],
        "rules": [rule],
    }
    if settings.hostnames:
        spec["hostnames"] = list(settings.hostnames)
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": settings.name, "labels": {MANAGED_LABEL: FIELD_MANAGER}},
        "spec": spec,
    }


def _backend(service: str, pair_id: str) -> Manifest:
    return {"name": f"{service}-{pair_id}-transformer", "port": _PORT}


def read_split(route: Manifest, service: str) -> Split | None:
    """Where a route sends requests; None where it is no route of this program's form."""
    rules = route["spec"].get("rules", [])
    if len(rules) != 1:
        return None
    pairs = [_pair_of(one["name"], service) for one in rules[0].get("backendRefs", [])]
    filters = rules[0].get("filters", [])
    mirrors = [
        _pair_of(one["requestMirror"]["backendRef"]["name"], service) for one in filters if "requestMirror" in one
    ]
    if None in [*pairs, *mirrors] or len(mirrors) > 1 or len(mirrors) != len(filters):
        return None
    weights = [int(one.get("weight", 1)) for one in rules[0].get("backendRefs", [])]
    return Split(
        weights={str(pair): weight for pair, weight in zip(pairs, weights, strict=True)},
        mirror=mirrors[0] if mirrors else None,
    )


def _pair_of(backend: str, service: str) -> str | None:
    pair_id = backend.removeprefix(f"{service}-").removesuffix("-transformer")
    return pair_id if backend == f"{service}-{pair_id}-transformer" else None


def read_pair(own: Manifest) -> Pair:
    """The pair that an InferenceService of this program serves."""
    metadata = own["metadata"]
    try:
        return Pair(
            pair_id=metadata["labels"][PAIR_LABEL],
            model_version=metadata["annotations"][_VERSION],
            address=metadata["annotations"][_ADDRESS],
        )
    except KeyError as error:
        raise RolloutError(
            f"InferenceService {metadata['name']} was not made by `covidctnet deploy`: {error}"
        ) from None


def is_ready(own: Manifest) -> bool:
    """Whether KServe says that an InferenceService, as it is now, is ready."""
    status = own.get("status", {})
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions", []))
    # Not every release of KServe tells it; a pair's service never changes, and a new one has no status yet.
    observed = int(status.get("observedGeneration") or own["metadata"].get("generation", 0))
    return ready and observed >= int(own["metadata"].get("generation", 0))


def _one(objects: Iterable[Manifest], kind: str) -> Manifest:
    (found,) = (item for item in objects if item["kind"] == kind)
    return found


def _tidy(item: Manifest) -> Manifest:
    """Leave the namespace to the address, and the status to the controllers."""
    item["metadata"].pop("namespace", None)
    item.pop("status", None)
    return item


def _mentions(value: Any, service: str) -> bool:
    if isinstance(value, dict):
        return value.get(_SERVICE_LABEL) == service or any(_mentions(one, service) for one in value.values())
    return isinstance(value, list) and any(_mentions(one, service) for one in value)


def _rename(value: Any, old: str, new: str) -> Any:
    """The same with every selector of one InferenceService turned to another."""
    if isinstance(value, dict):
        return {
            name: new if (name, one) == (_SERVICE_LABEL, old) else _rename(one, old, new) for name, one in value.items()
        }
    return [_rename(one, old, new) for one in value] if isinstance(value, list) else value
