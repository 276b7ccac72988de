"""The state of a roll-out, which requests go where in it, and the state that follows: pure functions.

```
prepare -> shadow -> canary 0 -> canary 1 -> ... -> full -> retire -> done
   |          |          |           |              |
   +----------+----------+-----------+--------------+---> return -> returned
```

In every state each request goes to one whole pair. A pair gets requests only after it is ready, and is removed only
after the route has left it.
"""

from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass as checked_dataclass

from covidctnet.errors import ConfigError, RolloutError
from covidctnet.promotion.policy import STRICT
from covidctnet.rollout.judgement import Verdict
from covidctnet.rollout.policy import Observation, RolloutPolicy
from covidctnet.yaml_values import check_values

Stage = Literal["prepare", "shadow", "canary", "full", "retire", "done", "return", "returned"]
ENDED: frozenset[str] = frozenset({"done", "returned"})
OBSERVED: frozenset[str] = frozenset({"shadow", "canary", "full"})


@checked_dataclass(frozen=True, kw_only=True, config=STRICT)
class Pair:
    """A registered bundle as the cluster serves it.

    Attributes:
        pair_id: of the bundle.
        model_version: in the registry.
        address: of the bundle, such as `s3://bucket/prefix`.
    """

    pair_id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    model_version: Annotated[str, Field(pattern=r"^[0-9]{1,10}$")]
    address: Annotated[str, Field(pattern=r"^[a-z][a-z0-9+.-]*://[^\s\"'{}]+$")]


@checked_dataclass(frozen=True, kw_only=True, config=STRICT)
class Rollout:
    """What is kept in the cluster, so that a roll-out that was killed goes on.

    Attributes:
        stage: where it is.
        step: which step of the canary.
        stable: the pair of before, None at the first roll-out.
        candidate: the pair that is to serve.
        policy: all limits, as they were when it began.
        since: when the stage began, seconds since 1970.
        reasons: why it goes or went back.
    """

    stage: Stage
    candidate: Pair
    stable: Pair | None
    policy: RolloutPolicy
    since: float
    step: Annotated[int, Field(ge=0)] = 0
    reasons: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do."""
        return self.stage in ENDED

    @property
    def serving(self) -> Pair | None:
        """The pair that serves alone once it has ended."""
        return self.stable if self.stage in {"return", "returned"} else self.candidate

    @property
    def observation(self) -> Observation:
        """What the stage asks for.

        Raises:
            RolloutError: nothing is observed in this stage.
        """
        if self.stage == "shadow" and self.policy.shadow is not None:
            return self.policy.shadow
        if self.stage == "canary":
            return self.policy.canary[self.step].observation
        if self.stage == "full":
            return self.policy.full
        raise RolloutError(f"nothing is observed in stage {self.stage}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Split:
    """Where requests go.

    Attributes:
        weights: percent by `pair_id`; the sum is 100, or there is none.
        mirror: `pair_id` that gets a copy of each request.
    """

    weights: dict[str, int]
    mirror: str | None = None


def begin(candidate: Pair, stable: Pair | None, policy: RolloutPolicy, *, now: float, at_once: bool) -> Rollout:
    """The first state.

    Args:
        candidate: is to serve.
        stable: serves now, if any.
        policy: the limits.
        now: seconds since 1970.
        at_once: leave shadow and canary out, as for a way back to an earlier version.
    """
    if stable is None or at_once:
        policy = replace(policy, shadow=None, canary=())
    if stable is None:
        # There is nothing to go back to for want of requests.
        policy = replace(policy, full=replace(policy.full, requests=0))
    return Rollout(stage="prepare", candidate=candidate, stable=stable, policy=policy, since=now)


def split_of(rollout: Rollout) -> Split:
    """Where requests go in a state: always to whole pairs, to the earlier one alone until the canary."""
    new, old = rollout.candidate.pair_id, rollout.stable.pair_id if rollout.stable else None
    if rollout.stage in {"full", "retire", "done"}:
        return Split(weights={new: 100})
    if old is None:
        return Split(weights={})
    if rollout.stage == "canary":
        weight = rollout.policy.canary[rollout.step].weight
        return Split(weights={old: 100 - weight, new: weight})
    return Split(weights={old: 100}, mirror=new if rollout.stage == "shadow" else None)


def advance(rollout: Rollout, *, now: float) -> Rollout:
    """The state after one whose work is done and whose verdict is "go on"."""
    policy, stage, step = rollout.policy, rollout.stage, rollout.step
    following: tuple[Stage, int]
    if stage == "prepare" and policy.shadow is not None:
        following = "shadow", 0
    elif stage in {"prepare", "shadow"} and policy.canary:
        following = "canary", 0
    elif stage == "canary" and step + 1 < len(policy.canary):
        following = "canary", step + 1
    elif stage in {"prepare", "shadow", "canary"}:
        following = "full", 0
    else:
        after: dict[str, Stage] = {"full": "retire", "retire": "done", "return": "returned"}
        if stage not in after:
            raise RolloutError(f"nothing follows stage {stage}")
        following = after[stage], 0
    return replace(rollout, stage=following[0], step=following[1], since=now)


def go_back(rollout: Rollout, reasons: tuple[str, ...], *, now: float, intact: bool = False) -> Rollout:
    """The state that leads back to the earlier pair.

    Args:
        rollout: where it is.
        reasons: in words.
        now: seconds since 1970.
        intact: the earlier pair is known to be whole though its removal was decided.

    Raises:
        RolloutError: the earlier pair is being removed or gone.
    """
    if rollout.stage == "done" or (rollout.stage == "retire" and not intact):
        raise RolloutError(
            f"pair {rollout.candidate.pair_id} serves alone since the earlier one was removed; deploy another version"
        )
    if rollout.stage in {"return", "returned"}:
        return rollout
    return replace(rollout, stage="return", step=0, since=now, reasons=reasons)


def follow_verdict(rollout: Rollout, verdict: Verdict, *, now: float) -> Rollout:
    """The state that a verdict leads to; the same where it says "wait"."""
    if verdict.outcome == "go on":
        return advance(rollout, now=now)
    return go_back(rollout, verdict.reasons, now=now) if verdict.outcome == "go back" else rollout


def parse_rollout(values: Any) -> Rollout:
    """Check plain values, as JSON gives them.

    Raises:
        RolloutError: they are no state of a roll-out, or one of another release.
    """
    try:
        rollout = check_values(Rollout, values, "state of the roll-out")
    except ConfigError as error:
        raise RolloutError(str(error)) from None
    if rollout.stage == "canary" and rollout.step >= len(rollout.policy.canary):
        raise RolloutError(f"state of the roll-out refused: it has no step {rollout.step} of the canary")
    return rollout
