"""What every rendered manifest must keep to: schemas, privileges, limits, pinned images, secrets, rights, networks."""

import re
from collections import Counter
from typing import Any

import kubernetes_validate
import pytest

from pipelines.settings import load_settings
from tests.helpers import crds
from tests.infra.platform.conftest import Platform
from tests.infra.serving.test_schemas import KSERVE, NEWEST, OLDEST

CHECKED = KSERVE | {"Gateway", "HTTPRoute", "TrainingRuntime"}
UNCHECKED = {
    "AuthorizationPolicy", "ExternalSecret", "PeerAuthentication", "PrometheusRule", "ReferenceGrant",
    "RequestAuthentication", "ServiceMonitor",
}  # fmt: skip
"""Kinds whose schemas are not at hand; their fields are looked at by the tests of this folder alone."""
PINNED = re.compile(r"^[a-z0-9./-]+:v?\d+\.\d+(\.\d+)?(-[a-z0-9.]+)?$|@sha256:[0-9a-f]{64}$")
LONG_RUNNING = {"Deployment", "StatefulSet", "InferenceService"}
RIGHTS = {
    ("trainer.kubeflow.org", "trainjobs"): {"create", "get", "list", "watch", "delete"},
    ("", "pods"): {"get", "list", "watch"},
    ("", "pods/log"): {"get", "list", "watch"},
}
"""All that any account of the platform may do."""


@pytest.mark.real_data
@pytest.mark.skipif(not crds.CRDS.is_dir(), reason="the schemas of the kinds are not beside SHARED_DATA")
def test_custom_kinds_fit_their_schemas(platform: Platform) -> None:
    found = [item for item in platform.objects if item["kind"] in CHECKED]
    assert {item["kind"] for item in found} > KSERVE
    for item in found:
        crds.check(item)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kinds_of_kubernetes_fit_their_schemas(platform: Platform, version: str) -> None:
    for item in platform.objects:
        if item["kind"] not in CHECKED | UNCHECKED:
            kubernetes_validate.validate(item, version, strict=True)


def test_every_custom_kind_is_known(platform: Platform) -> None:
    custom = {item["kind"] for item in platform.objects if "." in item["apiVersion"].partition("/")[0]}
    core = {"NetworkPolicy", "Role", "RoleBinding"}
    assert custom - core <= CHECKED | UNCHECKED


def test_names_are_given_once(platform: Platform) -> None:
    names = Counter(
        (item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in platform.objects
    )
    assert [name for name, count in names.items() if count > 1] == []
    spaces = set(platform.namespaces())
    assert {item["metadata"]["namespace"] for item in platform.objects if item["kind"] != "Namespace"} == spaces


def test_no_container_has_privileges_or_a_writable_root(platform: Platform) -> None:
    for pod in platform.workloads():
        assert pod.spec["securityContext"]["runAsNonRoot"] is True, pod.owner
        assert pod.spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, pod.owner
        assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & pod.spec.keys(), pod.owner
        assert not any("hostPath" in volume for volume in pod.spec["volumes"]), pod.owner
        assert pod.spec["automountServiceAccountToken"] is False, pod.owner
        for container in pod.containers:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, pod.owner
            assert context["readOnlyRootFilesystem"] is True, pod.owner
            assert context["capabilities"] == {"drop": ["ALL"]}, pod.owner


def test_every_container_has_requests_limits_and_bounded_scratch(platform: Platform) -> None:
    for pod in platform.workloads():
        for container in pod.containers:
            for bound in ("requests", "limits"):
                assert {"cpu", "memory"} <= container["resources"][bound].keys(), (pod.owner, bound)
        for volume in pod.spec["volumes"]:
            if "emptyDir" in volume:
                assert volume["emptyDir"]["sizeLimit"], (pod.owner, volume["name"])


def test_what_runs_for_long_is_probed(platform: Platform) -> None:
    for pod in platform.workloads():
        if pod.owner.split()[0] in LONG_RUNNING:
            for container in pod.containers:
                assert {"readinessProbe", "livenessProbe"} <= container.keys(), pod.owner


def test_images_are_pinned(platform: Platform) -> None:
    images = [container["image"] for pod in platform.workloads() for container in pod.containers]
    assert images
    assert [image for image in images if not PINNED.search(image)] == []
    for refused in ("a/b", "a/b:latest", "a/b:stable", "a/b@sha256:12", "a/b:1"):
        assert PINNED.search(refused) is None


def test_every_namespace_is_restricted_closed_and_bounded(platform: Platform) -> None:
    for item in platform.of("Namespace"):
        name = item["metadata"]["name"]
        assert item["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted", name
        closed = [policy["spec"] for policy in platform.within("NetworkPolicy", name)]
        assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in closed, name
        (quota,) = platform.within("ResourceQuota", name)
        assert {"pods", "limits.cpu", "limits.memory"} <= quota["spec"]["hard"].keys(), name
        assert len(platform.within("LimitRange", name)) == 1, name


def test_no_policy_opens_to_everybody(platform: Platform) -> None:
    for policy in platform.of("NetworkPolicy"):
        for rules, peers in ((policy["spec"].get("ingress", []), "from"), (policy["spec"].get("egress", []), "to")):
            for rule in rules:
                assert rule.get(peers), policy["metadata"]["name"]
                for peer in rule[peers]:
                    assert peer.get("ipBlock", {}).get("cidr") != "0.0.0.0/0"
                    assert any(peer.get(kind) for kind in ("podSelector", "namespaceSelector", "ipBlock"))


def test_quotas_hold_what_the_manifests_ask_for(platform: Platform) -> None:
    for deployment in platform.of("Deployment"):
        space = deployment["metadata"]["namespace"]
        (quota,) = platform.within("ResourceQuota", space)
        surge = deployment["spec"].get("strategy", {}).get("rollingUpdate", {}).get("maxSurge", 0)
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        pods = deployment["spec"]["replicas"] + surge
        assert pods * _cores(container["resources"]["limits"]["cpu"]) <= _cores(quota["spec"]["hard"]["limits.cpu"])


def _cores(text: str) -> float:
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


def test_no_secret_is_written_down_and_each_that_is_used_comes_from_the_vault(platform: Platform) -> None:
    assert platform.of("Secret") == []
    made = {
        (item["metadata"]["namespace"], item["spec"]["target"]["name"], entry["secretKey"])
        for item in platform.of("ExternalSecret")
        for entry in item["spec"]["data"]
    }
    used = {(pod.namespace, name) for pod in platform.workloads() for name in _secrets(pod.spec)}
    assert used
    if platform.overlay == "kind":
        assert made == set()
    else:
        assert used <= {(space, name) for space, name, _ in made}
        for name, keys in load_settings("cluster").secrets.items():
            assert {("covidctnet-training", name, key) for key in keys} <= made
    for pod in platform.workloads():
        for container in pod.containers:
            for variable in container.get("env", []):
                assert not re.search(r"PASSWORD|SECRET|TOKEN|KEY", variable["name"]) or "valueFrom" in variable


def _secrets(spec: Any) -> set[str]:
    """Names of all secrets that a pod refers to."""
    if isinstance(spec, list):
        return {name for value in spec for name in _secrets(value)}
    if not isinstance(spec, dict):
        return set()
    found = {spec[name]["name"] for name in ("secretRef", "secretKeyRef") if name in spec}
    found |= {spec["secretName"]} if "secretName" in spec else set()
    return found | {name for value in spec.values() for name in _secrets(value)}


def test_accounts_may_do_what_is_listed_and_no_more(platform: Platform) -> None:
    assert platform.of("ClusterRole") == platform.of("ClusterRoleBinding") == []
    for role in platform.of("Role"):
        for rule in role["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    assert set(rule["verbs"]) <= RIGHTS[group, resource]
    for account in platform.of("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False
    accounts = {(item["metadata"]["namespace"], item["metadata"]["name"]) for item in platform.of("ServiceAccount")}
    for binding in platform.of("RoleBinding"):
        assert {(subject["namespace"], subject["name"]) for subject in binding["subjects"]} <= accounts


def test_steps_find_their_disk_and_what_is_replicated_is_never_drained_at_once(platform: Platform) -> None:
    disk = load_settings("cluster").shared_disk
    assert disk is not None
    claims = {item["metadata"]["name"] for item in platform.within("PersistentVolumeClaim", "covidctnet-training")}
    assert disk.claim in claims
    for deployment in platform.of("Deployment"):
        labels = deployment["spec"]["selector"]["matchLabels"]
        assert any(item["spec"]["selector"]["matchLabels"] == labels for item in platform.of("PodDisruptionBudget"))


def test_gpus_are_asked_for_where_there_are_some(platform: Platform) -> None:
    asking = {
        pod.owner
        for pod in platform.workloads()
        for container in pod.containers
        if "nvidia.com/gpu" in container["resources"]["limits"]
    }
    wanted = {"InferenceService transformer", "TrainingRuntime covidctnet-tensorflow"}
    assert asking == (wanted if platform.overlay == "gpu" else set())
