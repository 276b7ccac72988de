"""Every rendered object fits the schema of its kind, and a field that does not exist is found."""

from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from tests.helpers import crds
from tests.infra.serving.conftest import Rendered

KSERVE = {"InferenceService", "ServingRuntime"}
OLDEST, NEWEST = "1.30", kubernetes_validate.latest_version()
POD_FIELDS = {
    "automountServiceAccountToken", "containers", "enableServiceLinks", "nodeSelector", "securityContext",
    "serviceAccountName", "terminationGracePeriodSeconds", "tolerations", "topologySpreadConstraints", "volumes",
}  # fmt: skip


def check(item: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(item, version, strict=True)


@pytest.mark.real_data
@pytest.mark.skipif(not crds.CRDS.is_dir(), reason="the schemas of the kinds are not beside SHARED_DATA")
def test_kserve_kinds_fit_their_schemas(rendered: Rendered) -> None:
    for kind in KSERVE:
        manifest = rendered.one(kind)
        crds.check(manifest)
        with pytest.raises(jsonschema.ValidationError, match="surprise"):
            crds.check({**manifest, "spec": {**manifest["spec"], "surprise": 1}})


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kinds_of_kubernetes_fit_their_schemas(rendered: Rendered, version: str) -> None:
    found = [item for item in rendered.objects if item["kind"] not in KSERVE]
    assert {item["kind"] for item in found} == {
        "Namespace", "ServiceAccount", "ConfigMap", "PodDisruptionBudget", "NetworkPolicy",
    }  # fmt: skip
    for item in found:
        check(item, version)
    with pytest.raises(kubernetes_validate.ValidationError, match="surprise"):
        check({**found[0], "surprise": 1}, version)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("component", ["transformer", "predictor"])
def test_pods_are_pods(rendered: Rendered, component: str, version: str) -> None:
    pod = rendered.pods[component]
    spec = {name: value for name, value in pod.items() if name in POD_FIELDS}
    assert spec["containers"][0]["image"]
    check({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": component}, "spec": spec}, version)


def test_names_are_given_once_and_objects_live_in_one_namespace(rendered: Rendered) -> None:
    names = [(item["kind"], item["metadata"]["name"]) for item in rendered.objects]
    assert len(set(names)) == len(names)
    namespace = rendered.one("Namespace")["metadata"]["name"]
    assert {item["metadata"].get("namespace", namespace) for item in rendered.objects} == {namespace}
