from typing import Any

import jsonschema
import pytest
import yaml

from covidctnet.training.workers import PORT, describe_workers
from tests.helpers import crds

FOLDER = crds.ROOT / "infra" / "trainer"


def load(name: str) -> dict[str, Any]:
    manifest: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text("utf-8"))
    return manifest


def node(runtime: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = runtime["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]
    return spec


@pytest.mark.real_data
@pytest.mark.skipif(not crds.CRDS.is_dir(), reason="the schemas of the kinds are not beside SHARED_DATA")
@pytest.mark.parametrize("name", ["train-job.yaml", "training-runtime.yaml"])
def test_manifests_fit_their_schemas(name: str) -> None:
    manifest = load(name)
    crds.check(manifest)
    manifest["spec"]["surprise"] = 1
    with pytest.raises(jsonschema.ValidationError, match="surprise"):
        crds.check(manifest)


def test_the_job_names_a_worker_for_each_node_as_the_job_set_names_its_pods() -> None:
    job, runtime = load("train-job.yaml"), load("training-runtime.yaml")
    trainer, name = job["spec"]["trainer"], job["metadata"]["name"]
    (workers,) = (item["value"] for item in trainer["env"] if item["name"] == "COVIDCTNET_WORKERS")
    assert workers.split(",") == [f"{name}-node-0-{index}.{name}" for index in range(trainer["numNodes"])]
    assert runtime["spec"]["mlPolicy"]["numNodes"] == trainer["numNodes"]
    assert node(runtime)["completionMode"] == "Indexed"
    ports = node(runtime)["template"]["spec"]["containers"][0]["ports"]
    assert ports == [{"containerPort": PORT}]
    assert describe_workers(workers, "1")["task"] == {"type": "worker", "index": 1}


def test_nodes_run_without_privileges_and_within_limits() -> None:
    pod = node(load("training-runtime.yaml"))["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {"cpu", "memory", "nvidia.com/gpu"} <= container["resources"]["limits"].keys()
