"""All components one after the other, through their Python functions, on real files in the smoke profile."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kfp import dsl

from components.document import load_component
from covidctnet.cohort import Cohort
from covidctnet.config import load_profile
from covidctnet.machine import code_version
from covidctnet.promotion.policy import load_policy
from integrations.steps.gate import NO_CHAMPION
from pipelines.gate import Gate
from pipelines.parameters import local_parameters
from pipelines.settings import load_settings
from pipelines.workspaces import make_demo_data

CASES_PER_SHARD = 9


@dataclass(kw_only=True)
class ComponentsRun:
    """Artifacts by component and name; those of the fan-outs have the shard's number behind.

    Attributes:
        workspace: where the data and MLflow are.
        parameters: of the run.
        artifacts: by name.
        returned: by component.
    """

    workspace: Path
    parameters: dict[str, Any]
    artifacts: dict[str, Any] = field(default_factory=dict)
    returned: dict[str, Any] = field(default_factory=dict)

    @property
    def context(self) -> dict[str, str]:
        """What every component takes."""
        return {name: self.parameters[name] for name in ("data_version", "config", "code_version", "tracking")}

    @property
    def cohort(self) -> Cohort:
        """The fetched cohort."""
        return Cohort.load(Path(json.loads((self.path("cohort") / "location.json").read_text())["folder"]))

    def path(self, artifact: str) -> Path:
        """Where an artifact is."""
        return Path(self.artifacts[artifact].path)

    def shards(self, name: str) -> list[Any]:
        """The artifacts of all shards."""
        return [self.artifacts[f"{name}-{number}"] for number in self.returned["validate_scanner_metadata"]]

    def call(self, component: str, number: int | str | None = None, /, **inputs: Any) -> Any:
        """Call a component; its outputs are made in the workspace."""
        function, suffix = load_component(component), "" if number is None else f"-{number}"
        outputs = {}
        for name, spec in (function.component_spec.outputs or {}).items():
            if name != "Output":
                kind = getattr(dsl, spec.type.split("@")[0].removeprefix("system."))
                uri = self.workspace / "artifacts" / f"{component}{suffix}" / name
                uri.parent.mkdir(parents=True, exist_ok=True)
                outputs[name] = kind(name=name, uri=str(uri))
        context = self.context if "config" in function.component_spec.inputs else {}
        self.returned[component + suffix] = function.python_func(**inputs, **outputs, **context)
        self.artifacts |= {
            (f"{component}.{name}" if name in {"metrics", "report"} else name) + suffix: artifact
            for name, artifact in outputs.items()
        }
        return self.returned[component + suffix]


def run_components(workspace: Path) -> ComponentsRun:
    """Make the smoke profile's phantoms and run everything once."""
    config = load_profile("smoke")
    version = make_demo_data(workspace, config)
    settings = replace(load_settings("local"), cases_per_shard=CASES_PER_SHARD)
    gate = Gate(champion=NO_CHAMPION, policy=load_policy("demo"))
    parameters = local_parameters(workspace, config, version, settings, gate=gate)
    run = ComponentsRun(workspace=workspace, parameters=parameters)
    given, made = run.parameters, run.artifacts
    assert given["code_version"] == code_version()
    run.call("fetch_dataset", repository=given["repository"], endpoint="", store=given["store"])
    run.call("assign_splits", cohort=made["cohort"], ledger=given["ledger"])
    common = {"cohort": made["cohort"], "splits": made["splits"]}
    shards = run.call("validate_scanner_metadata", **common, policy="", cases_per_shard=CASES_PER_SHARD)
    for shard in shards:
        run.call("preprocess", shard, **common, validated=made["validated"], shard=shard)
    records = run.shards("records")
    run.call("train_denoiser", records=records, healthy=run.shards("healthy"), state=given["state"])
    for shard in shards:
        run.call("extract_residuals", shard, slices=made[f"slices-{shard}"], denoiser=made["denoiser"])
    residuals = run.shards("residuals")
    run.call("train_classifier", records=records, residuals=residuals, denoiser=made["denoiser"], state=given["state"])
    run.call(
        "evaluate", **common, validated=made["validated"], records=records, denoiser=made["denoiser"],
        residuals=residuals, training=made["training"], bundle=made["bundle"],
    )  # fmt: skip
    run.call("register", evaluated=made["evaluated"], records=records)
    run.call(
        "gate", **common, validated=made["validated"], evaluated=made["evaluated"], registration=made["registration"],
        ledger=given["ledger"], champion=given["champion"], gate_policy=given["gate_policy"],
    )  # fmt: skip
    return run
