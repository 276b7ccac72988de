"""What the gate of a pipeline run compares with: the model in production, and the policy in force."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from covidctnet.promotion.policy import Policy
from integrations.steps.gate import NO_CHAMPION
from integrations.tracking_client import TrackingSettings


@dataclass(frozen=True, kw_only=True)
class Gate:
    """The gate's part of a run's parameters; both are content, so that the cache sees a change.

    Attributes:
        champion: `pair_id` of the model in production, or `NO_CHAMPION`.
        policy: every limit.
    """

    champion: str
    policy: Policy

    def parameters(self) -> dict[str, str]:
        """As the pipeline takes them."""
        return {"champion": self.champion, "gate_policy": json.dumps(asdict(self.policy), sort_keys=True)}


def champion_of(settings: TrackingSettings) -> str:
    """The registry's champion by its `pair_id`, or `NO_CHAMPION`.

    The registry follows the promotion log. Where it is behind, the decision is about another champion than the log's,
    and `promote` refuses it.

    Raises:
        TrackingError: MLflow does not answer.
    """
    if settings.is_local and not Path(settings.uri.removeprefix("sqlite:///")).is_file():
        return NO_CHAMPION
    from integrations.aliases_mlflow import registered_aliases

    return registered_aliases(settings).champion or NO_CHAMPION
