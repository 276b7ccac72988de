"""The retraining policy: when new data is worth a run, and what the run starts from."""

from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from covidctnet.errors import ConfigError
from covidctnet.yaml_values import check_values, parse_mapping

Cases = Annotated[int, Field(ge=1, le=1_000_000)] | None


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class RetrainPolicy:
    """Counts of cases against the data version that was trained on last; any one that is reached is enough.

    Attributes:
        name: of the policy.
        new_cases: cases that were added; None for never by itself, here and below.
        new_site_cases: cases of one site that was not there.
        new_scanner_cases: cases of one scanner model that was not there.
        relabelled_cases: cases whose label was corrected.
        removed_cases: cases that were taken out.
        start: whether training starts from the seed or from the champion's networks.
        attempts: how often a run of one data version is started before a person must look.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    new_cases: Cases
    new_site_cases: Cases
    new_scanner_cases: Cases
    relabelled_cases: Cases
    removed_cases: Cases
    start: Literal["seed", "champion"]
    attempts: Annotated[int, Field(ge=1, le=100)]


def load_retrain_policy(path: Path | None = None) -> RetrainPolicy:
    """Read a policy, the shipped one when None.

    Raises:
        ConfigError: there is no such file, or a field is refused.
    """
    if path is None:
        text, name = (resources.files("pipelines.retraining") / "default.yaml").read_text("utf-8"), "default"
    elif path.is_file():
        text, name = path.read_text("utf-8"), path.name
    else:
        raise ConfigError(f"there is no retraining policy {path.name!r}; give a YAML file, or leave it out")
    return check_values(RetrainPolicy, parse_mapping(text, f"retraining policy {name!r}"), "retraining policy")
