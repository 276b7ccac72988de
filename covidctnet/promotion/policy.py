"""The promotion policy: every limit of the gate, read from YAML and refused at once where wrong."""

import hashlib
import json
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from covidctnet.errors import ConfigError
from covidctnet.yaml_values import check_values, parse_mapping

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Margin = Annotated[float, Field(gt=0.0, le=1.0)]
Patients = Annotated[int, Field(ge=1, le=1_000_000)]
Metric = Literal["sensitivity", "specificity", "covid_auc", "brier"]
Grouping = Literal["brand", "site", "sex", "age_band"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Minimum:
    """A share that must be reached, by its value or by the lower bound of its exact interval."""

    minimum: Share
    tested: Literal["lower bound", "point"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AbsoluteRules:
    """What the candidate must reach whatever the champion does.

    Attributes:
        sensitivity, specificity: for Covid-19, by patient.
        max_brier: mean squared distance of probabilities and truth, summed over the classes, 0 to 2.
        max_metadata_auc: macro AUC that scanner metadata alone may reach; above, label and scanner are confounded.
        max_unanswered: share of hold-out cases that get no class.
    """

    sensitivity: Minimum
    specificity: Minimum
    max_brier: Annotated[float, Field(ge=0.0, le=2.0)]
    max_metadata_auc: Share
    max_unanswered: Share


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Enough:
    """Hold-out patients with and without Covid-19 below which there is no verdict."""

    covid_patients: Patients
    other_patients: Patients


@dataclass(frozen=True, kw_only=True, config=STRICT)
class NonInferiority:
    """How much worse than the champion the candidate may be at most.

    Attributes:
        margins: by metric, over the whole hold-out.
        group_margins: by metric, in each group.
        groups: what the hold-out is divided by.
        group_covid_patients, group_other_patients: patients of a group below which it gets no verdict.
        small_groups: whether a group without a verdict is only noted, or refuses the candidate.
    """

    margins: Annotated[dict[Metric, Margin], Field(min_length=1)]
    group_margins: dict[Metric, Margin]
    groups: tuple[Grouping, ...]
    group_covid_patients: Patients
    group_other_patients: Patients
    small_groups: Literal["note", "refuse"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class HoldoutRules:
    """Different candidates that one hold-out version may judge: each choice among many wears it out a little."""

    max_candidates: Patients


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Policy:
    """Every limit of the gate; `confidence` is that of two-sided intervals."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    absolute: AbsoluteRules
    enough: Enough
    non_inferiority: NonInferiority
    holdout: HoldoutRules
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)]
    bootstrap_samples: Annotated[int, Field(ge=100, le=100_000)]
    seed: Annotated[int, Field(ge=0, lt=2**31)]

    @property
    def digest(self) -> str:
        """Hash of every value."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def parse_policy(values: Any) -> Policy:
    """Check plain values, as YAML or JSON gives them.

    Raises:
        ConfigError: names every field that is unknown, missing or out of range, with its value.
    """
    return check_values(Policy, values, "promotion policy")


def policy_names() -> list[str]:
    """Names of the policies that the package ships."""
    folder = resources.files("covidctnet.promotion") / "policies"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_policy(name_or_path: str = "default") -> Policy:
    """Read a shipped policy by name, or a YAML file by path.

    Raises:
        ConfigError: there is no such policy, or a field is refused.
    """
    if name_or_path in policy_names():
        text = (resources.files("covidctnet.promotion") / "policies" / f"{name_or_path}.yaml").read_text("utf-8")
    elif Path(name_or_path).suffix in {".yaml", ".yml"} and Path(name_or_path).is_file():
        text = Path(name_or_path).read_text("utf-8")
    else:
        raise ConfigError(
            f"there is no promotion policy {Path(name_or_path).name!r}; use one of {', '.join(policy_names())} "
            "or a YAML file's path"
        )
    return parse_policy(parse_mapping(text, f"promotion policy {Path(name_or_path).name!r}"))
