"""The data steps of the compiled pipeline in their image, by the command that Kubeflow runs, on a real series."""

import hashlib
import json
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from kfp import dsl

from components.document import load_component
from covidctnet.cohort import Case, Cohort
from covidctnet.config import load_profile
from covidctnet.promotion.policy import load_policy
from integrations.data_versions import add_version
from integrations.steps.gate import NO_CHAMPION
from pipelines.compilation import compile_pipeline
from pipelines.gate import Gate
from pipelines.parameters import local_parameters
from pipelines.settings import NETWORK_STEPS, STEPS, load_settings
from pipelines.workspaces import make_demo_data
from tests.helpers.containers import engine, hand_over, run

IMAGE = "registry.example/covidctnet-pipeline@sha256:" + "0123456789abcdef" * 4


@dataclass(kw_only=True)
class StepsInContainers:
    """Runs components in containers; the folder has the same path in there.

    Attributes:
        image: where they run.
        executors: of the compiled pipeline, by name.
        workspace: all that they read and write.
        context: what every component takes.
        artifacts: what they made, by name.
    """

    image: str
    executors: dict[str, Any]
    workspace: Path
    context: dict[str, str]
    artifacts: dict[str, Path] = field(default_factory=dict)

    def call(self, component: str, **inputs: Any) -> Any:
        """Run a component's command as the compiled pipeline holds it; gives what it returned."""
        spec, folder = load_component(component).component_spec, self.workspace / "artifacts" / component
        folder.mkdir(parents=True)
        given = inputs | (self.context if "config" in spec.inputs else {})
        made = {name: folder / name for name in spec.outputs or {} if name != "Output"}
        told = {
            "inputs": {
                "parameterValues": {name: value for name, value in given.items() if not isinstance(value, Path)},
                "artifacts": {name: _artifact(name, value) for name, value in given.items() if isinstance(value, Path)},
            },
            "outputs": {
                "artifacts": {name: _artifact(name, path, spec.outputs[name].type) for name, path in made.items()},
                "parameters": {"Output": {"outputFile": str(folder / "Output")}},
                "outputFile": str(folder / "executor_output.json"),
            },
        }
        container = self.executors[f"exec-{component.replace('_', '-')}"]["container"]
        command = [json.dumps(told) if word == "{{$}}" else word for word in container["command"] + container["args"]]
        hand_over(self.workspace)
        run(self.image, command, writable=[self.workspace])
        self.artifacts |= made
        return json.loads((folder / "executor_output.json").read_text()).get("parameterValues", {}).get("Output")


def _artifact(name: str, path: Path, kind: str = "system.Dataset@0.0.1") -> dict[str, Any]:
    title, _, version = kind.partition("@")
    kind_of = {"schemaTitle": title, "schemaVersion": version}
    return {"artifacts": [{"name": name, "type": kind_of, "uri": str(path), "metadata": {}}]}


def contents(path: Path) -> dict[str, bytes]:
    """What a file holds; a compressed one by its arrays, since another zlib packs the same arrays otherwise."""
    if path.suffix != ".npz":
        return {path.name: path.read_bytes()}
    with np.load(path) as arrays:
        return {name: arrays[name].tobytes() for name in arrays.files}


def add_real_case(data: Path, series: Path) -> Case:
    """A real series beside the phantoms."""
    case = Case(
        case="real", patient="real", site="real", label="Control", scanner="Siemens SOMATOM Scope", kernel="B41s",
        sha256=hashlib.sha256(series.read_bytes()).hexdigest(),
    )  # fmt: skip
    shutil.copy(series, data / "cases" / "real.zip")
    Cohort.load(data).add(case).save()
    return case


@pytest.fixture(scope="module")
def executors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = compile_pipeline(load_settings("cluster", image=IMAGE), tmp_path_factory.mktemp("compiled") / "p.yaml")
    found: dict[str, Any] = next(yaml.safe_load_all(path.read_text()))["deploymentSpec"]["executors"]
    return found


@pytest.mark.real_data
def test_the_data_steps_run_hardened_and_give_what_they_give_here(
    pipeline_image: str, executors: dict[str, Any], shared_data: Path, tmp_path: Path
) -> None:
    config, workspace = load_profile("smoke"), tmp_path / "workspace"
    make_demo_data(workspace, config)
    add_real_case(workspace / "data", shared_data / "series" / "control-a.zip")
    version = add_version(workspace, "phantoms and a real series")
    settings = replace(load_settings("local"), cases_per_shard=100)
    gate = Gate(champion=NO_CHAMPION, policy=load_policy("demo"))
    parameters = local_parameters(workspace, config, version, settings, gate=gate)
    context = {name: parameters[name] for name in ("data_version", "config", "code_version", "tracking")}
    inside = StepsInContainers(image=pipeline_image, executors=executors, workspace=workspace, context=context)

    inside.call("fetch_dataset", repository=parameters["repository"], endpoint="", store=parameters["store"])
    cohort = inside.artifacts["cohort"]
    inside.call("assign_splits", cohort=cohort, ledger=parameters["ledger"])
    common = {"cohort": cohort, "splits": inside.artifacts["splits"]}
    shards = inside.call("validate_scanner_metadata", **common, policy="", cases_per_shard=100)
    assert shards == [0]
    address = inside.call("preprocess", **common, validated=inside.artifacts["validated"], shard=0)
    assert inside.call("gather_shards", addresses=[address]) == [address]

    # The same step by the same code in this process, to the last bit.
    here = tmp_path / "here"
    load_component("preprocess").python_func(
        **{name: dsl.Dataset(uri=str(path)) for name, path in common.items()},
        validated=dsl.Dataset(uri=str(inside.artifacts["validated"])),
        **{name: dsl.Dataset(uri=str(here / name)) for name in ("slices", "healthy", "records")},
        shard=0,
        **context,
    )
    made = {path.relative_to(here) for path in here.rglob("*") if path.is_file() and path.name != "seconds.json"}
    assert any("real" in path.name for path in made)
    for path in made:
        assert contents(here / path) == contents(inside.artifacts["slices"].parent / path), path


def test_no_step_with_a_network_can_run_without_tensorflow(pipeline_image: str) -> None:
    assert set(STEPS) > NETWORK_STEPS
    result = run(pipeline_image, ["python", "-c", "import tensorflow"], check=False)
    assert "ModuleNotFoundError" in result.stderr


def test_a_container_can_write_nothing_but_tmp(pipeline_image: str) -> None:
    script = "touch /tmp/here && ! touch /opt/app/x && ! touch /etc/x && ! touch /var/tmp/x && id -u"
    assert run(pipeline_image, ["sh", "-c", script]).stdout == "10001\n"


def test_no_compiler_and_no_installer_is_left(
    pipeline_image: str, transformer_image: str, predictor_image: str
) -> None:
    for image in (pipeline_image, transformer_image, predictor_image):
        script = "for name in gcc cc g++ clang make ld as; do ! command -v $name || exit 1; done"
        run(image, ["-c", script], entrypoint="sh")
        no_pip = "import importlib.util as u, sys; sys.exit(u.find_spec('pip') is not None)"
        run(image, ["-c", no_pip], entrypoint="python")


def test_images_say_what_they_are(pipeline_image: str, transformer_image: str, predictor_image: str) -> None:
    for image in (pipeline_image, transformer_image, predictor_image):
        (facts,) = json.loads(engine("image", "inspect", image).stdout)
        labels = facts["Config"]["Labels"]
        assert labels["org.opencontainers.image.title"] == image.partition(":")[0]
        assert labels["org.opencontainers.image.base.digest"].startswith("sha256:")
        assert len(labels["org.opencontainers.image.revision"]) == 40
        assert facts["Config"]["User"] == "10001:10001"
