"""The compiled pipeline: what Kubeflow gets, compared with a golden copy by meaning."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import components as kfp_components

from covidctnet.errors import ConfigError
from pipelines.compilation import compile_pipeline
from pipelines.settings import STEPS, load_settings

GOLDEN = Path(__file__).with_name("golden_training.yaml")
IMAGE = "registry.example/covidctnet-python@sha256:" + "0123456789abcdef" * 4


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_pipeline(
        load_settings("cluster", image=IMAGE), tmp_path_factory.mktemp("compiled") / "training.yaml"
    )


def meaning(path: Path) -> list[dict[str, Any]]:
    """The documents without the components' source and the compiler's own words."""
    documents: list[dict[str, Any]] = copy.deepcopy(list(yaml.safe_load_all(path.read_text("utf-8"))))
    documents[0].pop("sdkVersion")
    for executor in documents[0]["deploymentSpec"]["executors"].values():
        if "container" in executor:
            executor["container"].pop("command")
    return documents


def containers(path: Path) -> dict[str, Any]:
    return {
        name.removeprefix("exec-").replace("-", " "): executor["container"]
        for name, executor in next(yaml.safe_load_all(path.read_text("utf-8")))["deploymentSpec"]["executors"].items()
        if "container" in executor
    }


def platform(path: Path) -> dict[str, Any]:
    document = list(yaml.safe_load_all(path.read_text("utf-8")))[1]
    executors = document["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return {name.removeprefix("exec-").replace("-", " "): executor for name, executor in executors.items()}


def test_it_means_the_same_as_the_golden_one(compiled: Path) -> None:
    # A change that is wanted: python -m tests.pipelines.write_golden
    assert meaning(compiled) == meaning(GOLDEN)


def test_the_sdk_loads_it(compiled: Path) -> None:
    loaded = kfp_components.load_component_from_file(str(compiled))
    assert loaded.name == "covidctnet-training"
    assert {"data_version", "config", "code_version"} <= set(loaded.component_spec.inputs)


def test_every_step_has_the_pinned_image_and_its_resources(compiled: Path) -> None:
    found = containers(compiled)
    assert set(found) == set(STEPS)
    assert {container["image"] for container in found.values()} == {IMAGE}
    assert all("cpuLimit" in container["resources"] for container in found.values())
    assert all("memoryRequest" in container["resources"] for container in found.values())


def test_only_steps_that_run_a_network_get_the_image_that_can(tmp_path: Path) -> None:
    train = IMAGE.replace("covidctnet-python", "covidctnet-train")
    compiled = compile_pipeline(load_settings("cluster", image=IMAGE, train_image=train), tmp_path / "training.yaml")
    images = {name: container["image"] for name, container in containers(compiled).items()}
    wanted = {"train denoiser", "extract residuals", "train classifier", "evaluate", "gate"}
    assert {name for name, image in images.items() if image == train} == wanted
    assert {image for name, image in images.items() if name not in wanted} == {IMAGE}
    with pytest.raises(ConfigError, match="covidctnet-train:1"):
        compile_pipeline(load_settings("cluster", image=IMAGE, train_image="covidctnet-train:1"), tmp_path / "p.yaml")


def test_three_steps_ask_for_a_gpu_on_nodes_that_have_one(compiled: Path) -> None:
    wanted = {name for name, container in containers(compiled).items() if "accelerator" in container["resources"]}
    assert wanted == {"train denoiser", "extract residuals", "train classifier"}
    for name in wanted:
        accelerator = containers(compiled)[name]["resources"]["accelerator"]
        assert (accelerator["resourceType"], accelerator["resourceCount"]) == ("nvidia.com/gpu", "1")
        assert platform(compiled)[name]["nodeSelector"]["labels"] == {"covidctnet/pool": "gpu"}
        assert platform(compiled)[name]["tolerations"] == [
            {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
        ]


def test_every_step_has_a_time_out_and_the_shared_disk(compiled: Path) -> None:
    for name, executor in platform(compiled).items():
        assert int(executor["activeDeadlineSeconds"]) > 0, name
        assert executor["pvcMount"][0]["mountPath"] == "/state", name
    assert set(platform(compiled)) == set(STEPS)


def test_the_cache_of_every_step_sees_data_configuration_and_code(compiled: Path) -> None:
    document = meaning(compiled)[0]
    dags = [document["root"]["dag"], *(c["dag"] for c in document["components"].values() if "dag" in c)]
    tasks = {name: task for dag in dags for name, task in dag["tasks"].items()}
    steps = {name.replace(" ", "-") for name in STEPS} - {"gather-shards"}
    assert steps <= set(tasks)
    for name in steps:
        assert tasks[name]["cachingOptions"] == {"enableCache": True}, name
        assert {"data_version", "config", "code_version"} <= set(tasks[name]["inputs"]["parameters"]), name


def test_the_gate_is_the_last_step_and_no_condition_follows_it(compiled: Path) -> None:
    document = meaning(compiled)[0]
    dags = [document["root"]["dag"], *(c["dag"] for c in document["components"].values() if "dag" in c)]
    tasks = {name: task for dag in dags for name, task in dag["tasks"].items()}
    assert not any("triggerPolicy" in task for task in tasks.values())
    assert [name for name, task in tasks.items() if "gate" in task.get("dependentTasks", ())] == []
    given = set(tasks["gate"]["inputs"]["parameters"])
    assert {"champion", "gate_policy"} <= given
    inputs = document["root"]["inputDefinitions"]["parameters"]
    assert not any(inputs[name].get("isOptional") for name in ("champion", "gate_policy"))


def test_the_two_loops_run_over_shards_side_by_side(compiled: Path) -> None:
    tasks = meaning(compiled)[0]["root"]["dag"]["tasks"]
    loops = {name: task for name, task in tasks.items() if "parameterIterator" in task}
    assert len(loops) == 2
    assert all(task["iteratorPolicy"] == {"parallelismLimit": 8} for task in loops.values())


@pytest.mark.parametrize("image", ["", "covidctnet-python:latest", "r/c@sha256:12"])
def test_an_image_that_could_change_is_refused(image: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pinned by its digest"):
        compile_pipeline(load_settings("cluster", image=image), tmp_path / "p.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image: a\nsteps: {train: {}}", "there is no step 'train'"),
        ("image: a\nsteps: {evaluate: {cpu: many}}", "evaluate.cpu"),
        ("image: a\nshards: 3", "shards"),
        ("image: [", "not YAML"),
        ("- 1", "must hold a mapping"),
    ],
)
def test_settings_that_are_wrong_are_refused_with_their_name(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_settings(str(path))
    with pytest.raises(ConfigError, match="there are no settings"):
        load_settings("nowhere")
