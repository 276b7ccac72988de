"""The roll-out policy: stages, how much evidence each needs, and the bounds that end it; read from YAML."""

import hashlib
import json
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from covidctnet.errors import ConfigError
from covidctnet.promotion.policy import STRICT
from covidctnet.yaml_values import check_values, parse_mapping

_MOST_SECONDS = 30 * 86400.0

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Seconds = Annotated[float, Field(gt=0.0, le=_MOST_SECONDS)]
Pause = Annotated[float, Field(ge=0.0, le=_MOST_SECONDS)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Bounds:
    """What ends a roll-out; each is the largest value that is let pass.

    Attributes:
        error_rate: share of the candidate's requests that ended with 429 or 5xx.
        p95_seconds: 95th percentile of the candidate's answered requests, s.
        p95_ratio: the same, divided by the stable pair's of the same stage.
        disagreement: share of the mirrored requests that the two pairs answered differently: another label, another
            Covid-19 read-out, or only one of them answered.
        restarts: containers of the candidate that started again.
        requests: fewer requests than these count as these where a share is taken; a percentile is not judged below.
    """

    requests: Annotated[int, Field(ge=1, le=1_000_000)]
    error_rate: Share
    p95_seconds: Annotated[float, Field(gt=0.0, le=3600.0)]
    p95_ratio: Annotated[float, Field(ge=1.0, le=100.0)]
    disagreement: Share
    restarts: Annotated[int, Field(ge=0, le=100)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Observation:
    """What a stage must have seen before the next.

    Attributes:
        requests: of the candidate; in the shadow stage, requests that both pairs answered.
        seconds: shortest time.
        patience_seconds: where `requests` are not reached within this time, the roll-out goes back.
    """

    requests: Annotated[int, Field(ge=0, le=1_000_000)]
    seconds: Pause
    patience_seconds: Seconds

    def __post_init__(self) -> None:
        if self.patience_seconds < self.seconds:
            raise ValueError(f"patience_seconds ({self.patience_seconds}) must be >= seconds ({self.seconds})")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CanaryStep:
    """A share of the requests for the candidate.

    Attributes:
        weight: in percent, 1 to 99.
        observation: what must be seen at this weight.
    """

    weight: Annotated[int, Field(ge=1, le=99)]
    observation: Observation


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RolloutPolicy:
    """Every limit of a roll-out.

    Attributes:
        name: of the policy.
        bounds: what ends it.
        shadow: mirrored requests, whose answers nobody gets; None for none.
        canary: rising shares of the requests.
        full: all requests, while the earlier pair still stands by.
        ready_seconds: how long the candidate may take to get ready.
        poll_seconds: time between two looks.
        hold_seconds: how long a process that says nothing any more keeps others away.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    bounds: Bounds
    shadow: Observation | None
    canary: tuple[CanaryStep, ...]
    full: Observation
    ready_seconds: Seconds
    poll_seconds: Annotated[float, Field(gt=0.0, le=60.0)]
    hold_seconds: Annotated[float, Field(ge=1.0, le=3600.0)]

    def __post_init__(self) -> None:
        if self.hold_seconds < 4 * self.poll_seconds:
            raise ValueError(f"hold_seconds ({self.hold_seconds}) must be >= 4 * poll_seconds ({self.poll_seconds})")
        weights = [step.weight for step in self.canary]
        if weights != sorted(set(weights)):
            raise ValueError(f"weights of the canary must rise, not {weights}")

    @property
    def digest(self) -> str:
        """Hash of every value."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def parse_rollout_policy(values: Any) -> RolloutPolicy:
    """Check plain values, as YAML or JSON gives them.

    Raises:
        ConfigError: names every field that is unknown, missing or out of range, with its value.
    """
    return check_values(RolloutPolicy, values, "roll-out policy")


def load_rollout_policy(name_or_path: str = "default") -> RolloutPolicy:
    """Read the shipped policy `default`, or a YAML file by path.

    Raises:
        ConfigError: there is no such policy, or a field is refused.
    """
    if name_or_path == "default":
        text = (resources.files("covidctnet.rollout") / "policies" / "default.yaml").read_text("utf-8")
    elif Path(name_or_path).suffix in {".yaml", ".yml"} and Path(name_or_path).is_file():
        text = Path(name_or_path).read_text("utf-8")
    else:
        raise ConfigError(f"there is no roll-out policy {Path(name_or_path).name!r}; use default or a YAML file's path")
    return parse_rollout_policy(parse_mapping(text, f"roll-out policy {Path(name_or_path).name!r}"))
