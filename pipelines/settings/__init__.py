"""Where the steps run and what each may use: frozen dataclasses read from YAML, refused at once where wrong."""

import re
from dataclasses import field
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from covidctnet.errors import ConfigError
from covidctnet.yaml_values import check_values, parse_mapping

_STRICT = ConfigDict(extra="forbid")
_PINNED = re.compile(r".+@sha256:[0-9a-f]{64}")

STEPS = (
    "fetch dataset",
    "assign splits",
    "validate scanner metadata",
    "preprocess",
    "gather shards",
    "train denoiser",
    "extract residuals",
    "train classifier",
    "evaluate",
    "register",
    "gate",
)
"""All steps, in the order of the data flow."""

NETWORK_STEPS = frozenset({"train denoiser", "extract residuals", "train classifier", "evaluate", "gate"})
"""Steps that run a network; the others do without TensorFlow."""

Cpu = Annotated[str, Field(pattern=r"^([1-9][0-9]*m?)?$")]
Memory = Annotated[str, Field(pattern=r"^([1-9][0-9]*(Ki|Mi|Gi|Ti|K|M|G|T))?$")]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Toleration:
    """A taint of nodes that a step's pod may live with (Kubernetes, `core/v1` Toleration)."""

    key: str
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = "NoSchedule"


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class StepSettings:
    """What one step may use.

    Attributes:
        cpu, memory: request and limit in Kubernetes' units; none where empty.
        gpu: how many accelerators of `gpu_type`.
        node_selector: labels of the nodes that it may run on.
        tolerations: taints that it may live with.
        retries: how often a failed step is tried again. Kubeflow ignores it inside a fan-out.
        backoff_s: wait before the first retry, doubled each time, s.
        timeout_s: longest time of a try, s; 0 for none.
        cache: reuse the outputs of a step with equal inputs.
    """

    cpu: Cpu = ""
    memory: Memory = ""
    gpu: Annotated[int, Field(ge=0, le=16)] = 0
    gpu_type: str = "nvidia.com/gpu"
    node_selector: dict[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    retries: Annotated[int, Field(ge=0, le=20)] = 0
    backoff_s: Annotated[int, Field(ge=1, le=3600)] = 30
    timeout_s: Annotated[int, Field(ge=0, le=2_592_000)] = 0
    cache: bool = True


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class SharedDisk:
    """A disk that all steps can write, for the fetched cohort, checkpoints and the ledger of splits."""

    claim: str
    mount: Annotated[str, Field(pattern=r"^/.+")]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class PipelineSettings:
    """Where the pipeline runs.

    Attributes:
        image: of all steps; pinned by digest wherever a container runs.
        train_image: of the `NETWORK_STEPS`, so that the others do without TensorFlow; `image` where empty.
        cases_per_shard: most cases of a shard.
        parallelism: shards that run side by side.
        shared_disk: claim of a volume; None where the steps share a file system already.
        secrets: by name of a Kubernetes secret, its keys and the environment variables that they become.
        steps: by name; a step that is not named has no request.
    """

    image: str
    train_image: str = ""
    cases_per_shard: Annotated[int, Field(ge=1, le=100_000)] = 200
    parallelism: Annotated[int, Field(ge=1, le=1000)] = 1
    shared_disk: SharedDisk | None = None
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    steps: dict[str, StepSettings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.steps) - set(STEPS))
        if unknown:
            raise ConfigError(f"there is no step {unknown[0]!r}; use {', '.join(STEPS)}")

    def of(self, step: str) -> StepSettings:
        """The settings of a step."""
        return self.steps.get(step, StepSettings())

    def image_of(self, step: str) -> str:
        """The image that a step runs in."""
        return self.train_image if self.train_image and step in NETWORK_STEPS else self.image

    def require_pinned_images(self) -> None:
        """Refuse an image that could change under its name.

        Raises:
            ConfigError: there is no digest.
        """
        for image in sorted({self.image_of(step) for step in STEPS}):
            if not _PINNED.fullmatch(image):
                raise ConfigError(
                    f"the image must be pinned by its digest, as in registry/covidctnet@sha256:..., not {image!r}; "
                    "give it with --image and --train-image or in the settings file"
                )


def load_settings(name_or_path: str, *, image: str | None = None, train_image: str | None = None) -> PipelineSettings:
    """Read shipped settings by name, `local` or `cluster`, or a YAML file by path.

    Args:
        name_or_path: a name or a path.
        image: replaces the image of the file.
        train_image: replaces the image of the steps that run a network.

    Raises:
        ConfigError: there is no such file, or a field is refused.
    """
    shipped = resources.files("pipelines") / "settings" / f"{name_or_path}.yaml"
    if re.fullmatch(r"[a-z]+", name_or_path) and shipped.is_file():
        text = shipped.read_text("utf-8")
    elif Path(name_or_path).is_file():
        text = Path(name_or_path).read_text("utf-8")
    else:
        raise ConfigError(f"there are no settings {name_or_path!r}; use local, cluster or a YAML file's path")
    values = parse_mapping(text, f"the file of settings {name_or_path!r}")
    if image is not None:
        values["image"] = image
    if train_image is not None:
        values["train_image"] = train_image
    return check_values(PipelineSettings, values, "settings")
