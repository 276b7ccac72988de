"""No container is privileged, unbounded or unpinned, and no pod is reached or reaches beyond its need."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.crds import ROOT
from tests.infra.serving.conftest import Rendered

PINNED = re.compile(r"^[a-z0-9./-]+:(?!latest)v?\d+\.\d+\.\d+[a-z0-9.-]*$|@sha256:[0-9a-f]{64}$")
COMPONENTS = ["transformer", "predictor"]
SIZES = {"": 1, "Mi": 2**20, "Gi": 2**30}


def size(text: str) -> float:
    match = re.match(r"^([\d.]+)([A-Za-z]*)$", text)
    assert match
    return float(match[1]) * SIZES[match[2]]


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    found = [*pod["containers"], *pod.get("initContainers", [])]
    assert found
    return found


@pytest.mark.parametrize("component", COMPONENTS)
def test_no_container_runs_as_root_or_with_privileges(rendered: Rendered, component: str) -> None:
    pod = rendered.pods[component]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(pod):
        context = container["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] >= 1000
        assert context["allowPrivilegeEscalation"] is False
        assert context["privileged"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not any("hostPath" in volume for volume in pod["volumes"])
    assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & pod.keys()


def test_the_namespace_refuses_pods_with_privileges(rendered: Rendered) -> None:
    labels = rendered.one("Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("component", COMPONENTS)
def test_no_pod_has_a_token_of_the_kubernetes_api(rendered: Rendered, component: str) -> None:
    pod, account = rendered.pods[component], rendered.one("ServiceAccount")
    assert pod["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == account["metadata"]["name"]
    assert account["automountServiceAccountToken"] is False
    assert not any("projected" in volume for volume in pod["volumes"])


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_container_has_requests_and_limits(rendered: Rendered, component: str) -> None:
    pods = [*containers(rendered.pods[component]), *rendered.one("ServingRuntime")["spec"]["containers"]]
    for container in pods:
        requests, limits = container["resources"]["requests"], container["resources"]["limits"]
        assert {"cpu", "memory", "ephemeral-storage"} <= requests.keys() == limits.keys()
        assert float(requests["cpu"]) <= float(limits["cpu"])
        assert size(requests["memory"]) <= size(limits["memory"])


@pytest.mark.parametrize("component", COMPONENTS)
def test_folders_that_are_written_are_bounded(rendered: Rendered, component: str) -> None:
    pod = rendered.pods[component]
    mounted = {mount["name"]: mount for mount in pod["containers"][0]["volumeMounts"]}
    assert mounted.keys() == {volume["name"] for volume in pod["volumes"]}
    bounds = [size(volume["emptyDir"]["sizeLimit"]) for volume in pod["volumes"] if "emptyDir" in volume]
    storage = size(pod["containers"][0]["resources"]["limits"]["ephemeral-storage"])
    assert 0 < sum(bounds) <= storage
    for volume in pod["volumes"]:
        assert "emptyDir" in volume or mounted[volume["name"]]["readOnly"] is True


def test_caches_of_libraries_lie_where_the_transformer_may_write(rendered: Rendered) -> None:
    pod = rendered.pods["transformer"]
    (container,) = pod["containers"]
    emptied = {volume["name"] for volume in pod["volumes"] if "emptyDir" in volume}
    writable = [Path(mount["mountPath"]) for mount in container["volumeMounts"] if mount["name"] in emptied]
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    for name in ("HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR"):
        assert any(Path(environment[name]).is_relative_to(folder) for folder in writable), name


def test_every_image_is_pinned(rendered: Rendered) -> None:
    images = [container["image"] for pod in rendered.pods.values() for container in containers(pod)]
    assert len(images) == 2
    for image in images:
        assert PINNED.search(image), image
    assert PINNED.search("covidctnet-transformer:latest") is None
    assert PINNED.search("covidctnet-transformer") is None


def test_images_are_of_this_release_and_of_the_tensorflow_that_trains(rendered: Rendered) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (image,) = (container["image"] for container in containers(rendered.transformer))
    assert image == f"covidctnet-transformer:{project['version']}" + ("-gpu" if rendered.overlay == "gpu" else "")
    (server,) = (container["image"] for container in containers(rendered.predictor))
    (api,) = (
        name for name in project["optional-dependencies"]["transformer"] if name.startswith("tensorflow-serving-api==")
    )
    assert server.partition(":")[2] == api.partition("==")[2]


def labels_of(component: str) -> dict[str, str]:
    """What KServe writes on a component's pods."""
    return {"serving.kserve.io/inferenceservice": "covidctnet", "component": component}


def selects(selector: dict[str, Any], component: str) -> bool:
    wanted = selector.get("matchLabels", {})
    return wanted.items() <= labels_of(component).items()


def ports(rule: dict[str, Any]) -> set[int]:
    return {port["port"] for port in rule["ports"]}


def test_everything_is_denied_first(rendered: Rendered) -> None:
    (policy,) = (item for item in rendered.of("NetworkPolicy") if item["metadata"]["name"] == "deny-all")
    assert policy["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize(
    ("component", "ingress", "egress"),
    [
        ("transformer", [("clients", {8080, 8081}), ("monitoring", {8080})], [("predictor", {8500})]),
        ("predictor", [("transformer", {8500})], []),
    ],
)
def test_a_pod_is_reached_and_reaches_only_where_it_must(
    rendered: Rendered,
    component: str,
    ingress: list[tuple[str, set[int]]],
    egress: list[tuple[str, set[int]]],
) -> None:
    policies = [
        item["spec"] for item in rendered.of("NetworkPolicy") if selects(item["spec"]["podSelector"], component)
    ]
    found = {
        direction: [
            (peer_name(peer), ports(rule))
            for policy in policies
            for rule in policy.get(direction, [])
            for peer in rule["from" if direction == "ingress" else "to"]
        ]
        for direction in ("ingress", "egress")
    }
    assert sorted(found["ingress"], key=str) == sorted(ingress, key=str)
    assert sorted(found["egress"], key=str) == sorted([*egress, ("kube-dns", {53}), ("object-store", {8333})], key=str)


def peer_name(peer: dict[str, Any]) -> str:
    """The one word that tells whom a rule means; a rule for everybody is an error."""
    pod = peer.get("podSelector", {}).get("matchLabels", {})
    space = peer.get("namespaceSelector", {}).get("matchLabels", {})
    if pod:
        return str(pod.get("component") or pod["k8s-app"])
    ((name, value),) = space.items()
    assert value == "allowed"
    return str(name.removeprefix("covidctnet-"))


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_drained_node_leaves_a_pod_to_answer(rendered: Rendered, component: str) -> None:
    (budget,) = (
        item["spec"] for item in rendered.of("PodDisruptionBudget") if selects(item["spec"]["selector"], component)
    )
    pod = rendered.pods[component]
    assert pod["minReplicas"] > budget["maxUnavailable"] >= 1
    assert pod["maxReplicas"] > pod["minReplicas"]
    assert pod["scaleMetric"] == "cpu"
    assert pod["deploymentStrategy"]["rollingUpdate"]["maxUnavailable"] == 0
    for spread in pod["topologySpreadConstraints"]:
        assert selects(spread["labelSelector"], component)
    keys = {spread["topologyKey"] for spread in pod["topologySpreadConstraints"]}
    assert keys == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}


def test_only_the_gpu_overlay_asks_for_a_gpu_and_finds_its_nodes(rendered: Rendered) -> None:
    pod = rendered.transformer
    gpu = pod["containers"][0]["resources"]["limits"].get("nvidia.com/gpu")
    tolerated = {toleration["key"] for toleration in pod["tolerations"]}
    if rendered.overlay == "gpu":
        assert gpu == "1"
        assert "nvidia.com/gpu" in tolerated
        assert pod["nodeSelector"]["nvidia.com/gpu.present"] == "true"
    else:
        assert gpu is None
        assert "nvidia.com/gpu" not in tolerated
    assert "nvidia.com/gpu" not in rendered.predictor["containers"][0]["resources"]["limits"]
