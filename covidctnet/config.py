"""Configuration: one frozen dataclass a stage, read from YAML profiles, refused at once where wrong.

Units are in the field's name. Numbers of the `paper` profile come from the paper's Methods and its
published code; `docs/adr/` argues the choices where the two differ.
"""

import hashlib
import json
from dataclasses import asdict, field
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from covidctnet.errors import ConfigError
from covidctnet.yaml_values import check_values, parse_mapping

_STRICT = ConfigDict(extra="forbid")

Count = Annotated[int, Field(ge=1, le=1_000_000)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Millimetres = Annotated[float, Field(gt=0.0, le=50.0)]
Degrees = Annotated[float, Field(ge=0.0, le=30.0)]
Extent = Annotated[float, Field(ge=0.0, le=1000.0)]
Hounsfield = Annotated[float, Field(ge=-1024.0, le=4000.0)]
Side = Annotated[int, Field(ge=16, le=1024)]
Signed = Annotated[float, Field(ge=-1.0, le=1.0)]
Rate = Annotated[float, Field(gt=0.0, le=1.0)]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class ReaderConfig:
    """What the reader accepts as a diagnostic axial chest CT: `min_` and `max_` refuse, `warn_` warns.

    `max_uneven_spacing` and `max_gap` are shares of the slice spacing; a lung that fills more than
    `warn_cut_lung` of its largest area in the first or last slice was cut off by the scan's range.
    """

    min_slices: Count = 12
    max_slices: Count = 3000
    max_slice_spacing_mm: Millimetres = 12.0
    max_tilt_degrees: Degrees = 1.0
    max_turn_degrees: Degrees = 5.0
    max_uneven_spacing: Fraction = 0.1
    max_gap: Annotated[float, Field(gt=1.0, le=2.0)] = 1.5
    min_extent_z_mm: Extent = 120.0
    min_field_of_view_mm: Extent = 220.0
    min_lung_fraction: Fraction = 0.03
    min_soft_tissue_fraction: Fraction = 0.05
    min_bone_hu: Hounsfield = 150.0
    max_air_hu: Hounsfield = -800.0
    warn_slices: Count = 40
    warn_slice_spacing_mm: Millimetres = 5.0
    warn_extent_z_mm: Extent = 500.0
    warn_cut_lung: Fraction = 0.25
    max_rows: Annotated[int, Field(ge=64, le=4096)] = 2048
    max_voxels: Annotated[int, Field(ge=1_000_000, le=2**32)] = 2**30
    max_files: Count = 50_000
    max_file_bytes: Annotated[int, Field(ge=1_000_000, le=16_000_000_000)] = 2_000_000_000
    max_bytes: Annotated[int, Field(ge=1_000_000, le=64_000_000_000)] = 4_000_000_000


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class PreprocessConfig:
    """From Hounsfield units to slices between 0 and 1 (paper, Methods, "Preprocessing")."""

    spacing_mm: tuple[Millimetres, Millimetres, Millimetres] = (1.0, 1.0, 1.0)
    hu_min: Annotated[float, Field(ge=-1100.0, le=0.0)] = -1000.0
    hu_max: Annotated[float, Field(ge=1.0, le=4000.0)] = 400.0
    range_handling: Literal["clip", "air"] = "clip"
    interpolation: Literal["linear", "bspline"] = "linear"
    slice_size: tuple[Side, Side] = (128, 128)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class NoiseConfig:
    """Perlin pseudo-infections (paper, Methods, "Perlin noise"; ranges are half open).

    The fields from `fill_threshold` on matter only to the placement "lung": strength of the field at which
    filling starts, by how much it must rise until the lung is full, and the density it is filled to, 0 to 1.
    """

    scale: tuple[Count, Count] = (10, 30)
    octaves: Annotated[int, Field(ge=1, le=16)] = 10
    persistence_percent: tuple[int, int] = (-50, 50)
    lacunarity: Annotated[float, Field(ge=1.0, le=4.0)] = 2.0
    period: Annotated[int, Field(ge=2, le=1024)] = 140
    base: tuple[int, int] = (0, 1000)
    weight: Annotated[float, Field(gt=0.0, le=4.0)] = 1.0
    noisy_fraction: Fraction = 0.5
    placement: Literal["whole slice", "lung"] = "whole slice"
    fill_threshold: tuple[Signed, Signed] = (-0.1, 0.25)
    fill_softness: tuple[Fraction, Fraction] = (0.05, 0.2)
    fill_density: tuple[Fraction, Fraction] = (0.2, 0.85)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class DenoiserConfig:
    """BCDU-Net and its training (paper, Methods, "BCDU-Net").

    `warm_start_epochs` teach the network to find lungs before it learns to denoise, 0 for a cold start.
    `patience` stops after so many epochs without a lower validation loss, 0 never; `precision` "auto" is
    mixed where a GPU is, else float32; `operation_threads` cores work on one operation, 0 all of them.
    """

    filters: tuple[Count, Count, Count, Count] = (32, 64, 128, 256)
    dense_blocks: Annotated[int, Field(ge=1, le=8)] = 3
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.5
    learning_rate: Rate = 1e-3
    learning_rate_decay: Literal["none", "cosine"] = "none"
    batch_size: Count = 5
    epochs: Count = 50
    warm_start_epochs: Annotated[int, Field(ge=0, le=1_000_000)] = 10
    patience: Annotated[int, Field(ge=0)] = 0
    precision: Literal["auto", "float32", "mixed"] = "auto"
    slices_per_epoch: Annotated[int, Field(ge=0)] = 0
    operation_threads: Annotated[int, Field(ge=0, le=1024)] = 0


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class ResidualConfig:
    """Residual stack: input minus denoised, resized to (z, y, x).

    `backend` and `batch_size` say how the denoiser runs, in training and in serving alike: another pair
    moves the residuals by about 1e-7. "openvino" is for processors, "tensorflow" also runs on GPUs, where a
    larger batch pays.
    """

    shape: tuple[Side, Side, Side] = (50, 128, 128)
    backend: Literal["openvino", "tensorflow"] = "openvino"
    batch_size: Annotated[int, Field(ge=1, le=1024)] = 4


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class ClassifierConfig:
    """3D CNN and its training (paper, Methods, "Classification").

    `patience` and `precision` are as in the denoiser's. `gradient_clip` bounds the norm of each weight tensor's
    gradient, 0 for no bound; `label_smoothing` of the target's weight goes to all classes alike, so that few patients
    are not learnt by heart. Augmentations, gain, bound and smoothing are ours, and off in the paper profile. `keep` the
    best epoch by validation loss, or the last: where few patients validate, one confident error outweighs the rest.
    """

    filters: tuple[Count, ...] = (8, 16, 32, 64, 128)
    dense_units: Count = 32
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.3
    learning_rate: Rate = 1e-4
    learning_rate_decay: Literal["none", "cosine"] = "none"
    gradient_clip: Annotated[float, Field(ge=0.0, le=1000.0)] = 0.0
    batch_size: Count = 16
    epochs: Count = 100
    keep: Literal["best", "last"] = "best"
    patience: Annotated[int, Field(ge=0)] = 0
    precision: Literal["auto", "float32", "mixed"] = "auto"
    flip_augmentation: bool = False
    shift_augmentation: Annotated[int, Field(ge=0, le=16)] = 0
    input_gain: Annotated[float, Field(gt=0.0, le=1000.0)] = 1.0
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class BurdenConfig:
    """Infection burden: lung whose residual is above `threshold`, and the marked areas that an answer lists."""

    threshold: Annotated[float, Field(gt=0.0, le=1.0)] = 0.08
    smallest_focus_ml: Annotated[float, Field(ge=0.0, le=1000.0)] = 1.0
    listed_foci: Annotated[int, Field(ge=0, le=100)] = 5


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class AnswerConfig:
    """When no class is answered: above so many widths of the training range outside of it (`distribution`)."""

    max_out_of_distribution: Annotated[float, Field(ge=0.0, le=1e6)] = 0.5


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class DriftConfig:
    """What a bundle keeps of its training studies to compare later ones with (`stability`).

    `hu_quantiles` are shares of voxels; at most `max_bins` bins hold at least `studies_per_bin` training studies.
    """

    hu_quantiles: Annotated[tuple[Fraction, ...], Field(min_length=1)] = (0.05, 0.25, 0.5, 0.75, 0.95)
    hu_step: Annotated[float, Field(gt=0.0, le=100.0)] = 5.0
    max_bins: Annotated[int, Field(ge=2, le=100)] = 10
    studies_per_bin: Annotated[int, Field(ge=1, le=10_000)] = 5


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class SplitConfig:
    """Shares of patients. `denoiser` is a share of the Controls, who are in no other split."""

    denoiser: Fraction = 0.2
    validation: Fraction = 0.15
    holdout: Fraction = 0.05


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class EvaluationConfig:
    """Bootstrap of the hold-out's metrics, by patient, and the blurs that the denoiser is compared with."""

    bootstrap_samples: Annotated[int, Field(ge=10, le=100_000)] = 2000
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
    reference_blur_px: tuple[Annotated[float, Field(gt=0.0, le=64.0)], ...] = (2.0, 4.0, 8.0)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class PhantomConfig:
    """Size of the phantom cohort; the defaults are the scanners' own values.

    `matrix` is that of the scanners with 512 pixels and `slice_spacing_mm` that of the coarsest; others in proportion.
    """

    controls: Annotated[int, Field(ge=0, le=100_000)] = 12
    covid: Annotated[int, Field(ge=0, le=100_000)] = 8
    cap: Annotated[int, Field(ge=0, le=100_000)] = 8
    matrix: Side = 512
    slice_spacing_mm: Millimetres = 2.5


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Config:
    """All stages, in the order of the data flow.

    `start_from` is the `pair_id` of a registered bundle whose networks training starts from; empty for a start from
    the seed. A network whose shapes differ starts from the seed all the same.
    """

    name: str
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    start_from: Annotated[str, Field(pattern=r"^([0-9a-f]{16})?$")] = ""
    reader: ReaderConfig = field(default_factory=ReaderConfig)
    phantom: PhantomConfig = field(default_factory=PhantomConfig)
    splits: SplitConfig = field(default_factory=SplitConfig)
    preprocess: PreprocessConfig = field(default_factory=PreprocessConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    residual: ResidualConfig = field(default_factory=ResidualConfig)
    classifier: ClassifierConfig = field(default_factory=ClassifierConfig)
    burden: BurdenConfig = field(default_factory=BurdenConfig)
    answer: AnswerConfig = field(default_factory=AnswerConfig)
    drift: DriftConfig = field(default_factory=DriftConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def to_json(self) -> str:
        """The whole configuration as JSON, keys in the order of the data flow."""
        return json.dumps(asdict(self), indent=2)

    @property
    def digest(self) -> str:
        """Hash of every value, for cache keys and lineage."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def parse_config(values: dict[str, Any]) -> Config:
    """Check plain values, as YAML or JSON gives them.

    Raises:
        ConfigError: names every field that is unknown, missing or out of range, with its value.
    """
    return check_values(Config, values, "configuration")


def profile_names() -> list[str]:
    """Names of the profiles that the package ships."""
    folder = resources.files("covidctnet") / "profiles"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_profile(name_or_path: str, *, seed: int | None = None, epochs: int | None = None) -> Config:
    """Read a shipped profile by name, or a YAML file by path.

    Args:
        name_or_path: `paper`, `demo`, `smoke` or a path that ends in .yaml or .yml.
        seed: replaces the profile's seed.
        epochs: replaces the epochs of both networks, and bounds those of the warm start.

    Raises:
        ConfigError: there is no such profile, or a field is refused.
    """
    if name_or_path in profile_names():
        text = (resources.files("covidctnet") / "profiles" / f"{name_or_path}.yaml").read_text("utf-8")
    elif Path(name_or_path).suffix in {".yaml", ".yml"} and Path(name_or_path).is_file():
        text = Path(name_or_path).read_text("utf-8")
    else:
        raise ConfigError(
            f"there is no profile {name_or_path!r}; use one of {', '.join(profile_names())} or a YAML file's path"
        )
    values = parse_mapping(text, f"profile {name_or_path!r}")
    if seed is not None:
        values["seed"] = seed
    if epochs is not None:
        for network in ("denoiser", "classifier"):
            values[network] = {**(values.get(network) or {}), "epochs": epochs}
        warm = values["denoiser"].get("warm_start_epochs", DenoiserConfig.warm_start_epochs)
        values["denoiser"]["warm_start_epochs"] = min(warm, epochs)
    return parse_config(values)
