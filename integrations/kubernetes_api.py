"""The Kubernetes API for the few kinds that a roll-out needs: one namespace, plain dictionaries, bounded patience."""

import json
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from covidctnet.errors import ClusterOutageError, ClusterRefusedError, ConfigError

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")

Manifest = dict[str, Any]
FIELD_MANAGER = "covidctnet-deploy"
NOT_FOUND, CONFLICT, GONE = 404, 409, 410
_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_CONNECT_SECONDS, _READ_SECONDS = 5.0, 30.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 3.0

KINDS: Mapping[str, tuple[str, str]] = {
    "ConfigMap": ("v1", "configmaps"),
    "Pod": ("v1", "pods"),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies"),
    "PodDisruptionBudget": ("policy/v1", "poddisruptionbudgets"),
    "InferenceService": ("serving.kserve.io/v1beta1", "inferenceservices"),
    "ServingRuntime": ("serving.kserve.io/v1alpha1", "servingruntimes"),
    "HTTPRoute": ("gateway.networking.k8s.io/v1", "httproutes"),
}
"""API version and resource name by kind."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How the API is asked again where it does not answer.

    Attributes:
        seconds: in all, for one call.
        sleep, clock: of this process.
    """

    seconds: float = 30.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


class Cluster:
    """One namespace of a cluster.

    Args:
        client: of the Kubernetes library, with address and credentials.
        namespace: that everything is in.
        patience: with an API that does not answer.
    """

    def __init__(self, client: "ApiClient", namespace: str, patience: Patience | None = None) -> None:
        self._client, self.namespace = client, namespace
        self._patience = patience or Patience()

    def get(self, kind: str, name: str) -> Manifest | None:
        """An object; None where there is none."""
        try:
            return self._object("GET", self._path(kind, name))
        except ClusterRefusedError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def find(self, kind: str, selector: str) -> list[Manifest]:
        """Objects whose labels fit a selector."""
        found = self._object("GET", self._path(kind), query=[("labelSelector", selector)])
        return list(found.get("items", []))

    def create(self, manifest: Manifest) -> Manifest:
        """Make an object.

        Raises:
            ClusterRefusedError: with status 409 where it exists.
        """
        return self._object("POST", self._path(manifest["kind"]), body=manifest)

    def apply(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Make an object, or make it so: fields that this program set before and are gone now, go.

        Args:
            manifest: where its metadata hold a `resourceVersion`, only that version is changed.
            dry_run: tell what would come out, and change nothing.

        Raises:
            ClusterRefusedError: with status 409 where another version is there.
        """
        query = [("fieldManager", FIELD_MANAGER), ("force", "true"), *([("dryRun", "All")] if dry_run else [])]
        path = self._path(manifest["kind"], manifest["metadata"]["name"])
        return self._object("PATCH", path, query=query, body=manifest, kind="application/apply-patch+yaml")

    def merge(self, kind: str, name: str, patch: Manifest) -> Manifest:
        """Change fields of an object; a `resourceVersion` in the patch must be that of now.

        Raises:
            ClusterRefusedError: with status 409 where it is another version, 404 where it is gone.
        """
        return self._object("PATCH", self._path(kind, name), body=patch, kind="application/merge-patch+json")

    def delete(self, kind: str, name: str) -> None:
        """Remove an object and what belongs to it; one that is gone already is removed."""
        try:
            self._object("DELETE", self._path(kind, name), query=[("propagationPolicy", "Background")])
        except ClusterRefusedError as error:
            if error.status != NOT_FOUND:
                raise

    def logs(self, pod: str, *, container: str, since: str) -> list[str]:
        """Lines that a container wrote since a time (RFC 3339); none where the pod is gone."""
        query = [("container", container), ("sinceTime", since)]
        path = f"{self._path('Pod', pod)}/log"
        try:
            return list(self._ask(lambda: self._call("GET", path, query=query, raw=True), f"GET {path}").splitlines())
        except ClusterRefusedError as error:
            if error.status == NOT_FOUND:
                return []
            raise

    def watch(self, kind: str, name: str, *, version: str, seconds: float) -> Iterator[Manifest]:
        """Versions of an object as they come, until the time is over or the connection breaks off.

        Whoever watches looks again afterwards: a watch that ends early is no error.
        """
        query = [
            ("watch", "true"), ("fieldSelector", f"metadata.name={name}"), ("resourceVersion", version),
            ("timeoutSeconds", str(max(1, int(seconds)))),
        ]  # fmt: skip
        import urllib3.exceptions
        from kubernetes.client import ApiException

        response = None
        try:
            response = self._call("GET", self._path(kind), query=query, stream=True, read_seconds=seconds + 5.0)
            rest = b""
            for chunk in response.stream():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in filter(None, lines):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        return
                    yield event["object"]
        except (ApiException, urllib3.exceptions.HTTPError, OSError, ValueError):
            return
        finally:
            if response is not None:
                response.release_conn()

    def _path(self, kind: str, name: str = "") -> str:
        version, resource = KINDS[kind]
        root = "/apis" if "/" in version else "/api"
        path = f"{root}/{version}/namespaces/{self.namespace}/{resource}"
        return f"{path}/{name}" if name else path

    def _object(self, method: str, path: str, **more: Any) -> Manifest:
        answer: Manifest = self._ask(lambda: self._call(method, path, **more), f"{method} {path}")
        return answer

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: list[tuple[str, str]] | None = None,
        body: Manifest | None = None,
        kind: str = "application/json",
        raw: bool = False,
        stream: bool = False,
        read_seconds: float = _READ_SECONDS,
    ) -> Any:
        answer = self._client.call_api(
            path,
            method,
            query_params=query or [],
            header_params={"Accept": "*/*" if raw else "application/json", "Content-Type": kind},
            body=body,
            response_type=None,
            auth_settings=["BearerToken"],
            _return_http_data_only=True,
            _preload_content=False,
            _request_timeout=(_CONNECT_SECONDS, read_seconds),
        )
        if stream:
            return answer
        text = answer.data.decode("utf-8", "replace")
        return text if raw else json.loads(text)

    def _ask(self, call: Callable[[], _T], what: str) -> _T:
        """Call, again and again where the API does not answer.

        A call whose answer was lost may have had its effect; every caller can bear that it is made twice.
        """
        import urllib3.exceptions
        from kubernetes.client import ApiException

        end, pause = self._patience.clock() + self._patience.seconds, _FIRST_PAUSE
        while True:
            try:
                return call()
            except ApiException as error:
                status = int(error.status or 0)
                if status not in _AGAIN:
                    raise ClusterRefusedError(f"{what}: {status} {_message(error)}", status=status) from None
                reason = f"{status} {_message(error)}"
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                reason = type(error).__name__
            if self._patience.clock() + pause > end:
                raise ClusterOutageError(
                    f"{what}: the Kubernetes API did not answer within {self._patience.seconds:.0f} s ({reason}); "
                    "run it again when it does"
                )
            _LOG.warning("the Kubernetes API does not answer", extra={"fields": {"what": what, "reason": reason}})
            self._patience.sleep(pause * random.uniform(0.75, 1.25))
            pause = min(2 * pause, _LONGEST_PAUSE)


def _message(error: Any) -> str:
    try:
        return str(json.loads(error.body)["message"])[:500]
    except (KeyError, TypeError, ValueError):
        return str(error.reason or "")[:200]


def connect(namespace: str = "", *, context: str = "", patience: Patience | None = None) -> Cluster:
    """The cluster of this pod's service account, else that of the kubeconfig.

    Args:
        namespace: empty for that of the service account or of the context.
        context: of the kubeconfig; the current one where empty.
        patience: with an API that does not answer.

    Raises:
        ConfigError: there is neither, or no namespace.
    """
    try:
        from kubernetes import client, config
    except ModuleNotFoundError:
        raise ConfigError("the Kubernetes client is not installed here; install the `pipeline` requirements") from None
    configuration = client.Configuration()
    try:
        if not context and _in_cluster():
            config.load_incluster_config(client_configuration=configuration)
            namespace = namespace or _account_namespace()
        else:
            config.load_kube_config(context=context or None, client_configuration=configuration)
            namespace = namespace or _context_namespace(context)
    except config.ConfigException as error:
        raise ConfigError(f"there is no access to a cluster: {error}") from None
    if not namespace:
        raise ConfigError("no namespace is given, and the context has none; say it with --namespace")
    # The retries of this module are bounded in time and know what an answer means.
    configuration.retries = False
    return Cluster(client.ApiClient(configuration), namespace, patience)


_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def _in_cluster() -> bool:
    import os

    return "KUBERNETES_SERVICE_HOST" in os.environ and os.path.isfile(f"{_ACCOUNT}/token")


def _account_namespace() -> str:
    with open(f"{_ACCOUNT}/namespace", encoding="utf-8") as file:
        return file.read().strip()


def _context_namespace(context: str) -> str:
    from kubernetes import config

    contexts, active = config.list_kube_config_contexts()
    chosen = next((one for one in contexts if one["name"] == context), active)
    return str(chosen["context"].get("namespace", ""))
