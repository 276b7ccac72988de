"""What the two pairs did in a stage, and what follows from it: pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from covidctnet.rollout.policy import Bounds, Observation

_BUSY, _SERVER, _REFUSED, _GONE = 429, 500, 400, 499


@dataclass(frozen=True, kw_only=True)
class Handled:
    """One request as a pair's log tells it.

    Attributes:
        status: HTTP status.
        seconds: from its first byte to the answer.
        answers: label and Covid-19 read-out of each study, in the order of the request.
        pair_ids: pairs that the answers name.
    """

    status: int
    seconds: float
    answers: tuple[tuple[str, bool | None], ...] = ()
    pair_ids: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Side:
    """One pair in one stage.

    Attributes:
        requests: that it got, without those whose client went away.
        failures: of these, those that ended with 429 or 5xx.
        p95_seconds: 95th percentile of the answered ones; None where none was.
        restarts: of its containers.
        foreign: pairs that its answers named and that it is not.
    """

    requests: int
    failures: int
    p95_seconds: float | None
    restarts: int = 0
    foreign: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Both pairs in one stage.

    Attributes:
        candidate, stable: each pair; None where there is no stable one.
        joined: requests that both got, by their id.
        differing: of these, those that were not answered alike.
    """

    candidate: Side
    stable: Side | None
    joined: int
    differing: int


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a stage has come to, with the reasons of going back."""

    outcome: Literal["wait", "go on", "go back"]
    reasons: tuple[str, ...] = ()


def summarise(pair_id: str, handled: Mapping[str, Handled], restarts: int) -> Side:
    """One pair's requests, by request id, as figures."""
    counted = [one for one in handled.values() if one.status != _GONE]
    seconds = [one.seconds for one in counted if one.status < _REFUSED]
    named = frozenset().union(*(one.pair_ids for one in handled.values())) - {pair_id}
    return Side(
        requests=len(counted),
        failures=sum(_failed(one) for one in counted),
        p95_seconds=float(np.percentile(seconds, 95, method="inverted_cdf")) if seconds else None,
        restarts=restarts,
        foreign=tuple(sorted(named)),
    )


def compare(candidate: Mapping[str, Handled], stable: Mapping[str, Handled]) -> tuple[int, int]:
    """Requests that both pairs got, and how many of these they did not answer alike.

    A failure of the server is none of the model's and is left out: the error rate counts it. So is an answer that was
    not logged: it agrees with nothing.
    """
    both = [
        (candidate[identifier], stable[identifier])
        for identifier in candidate.keys() & stable.keys()
        if _tells(candidate[identifier]) and _tells(stable[identifier])
    ]
    return len(both), sum(_said(one) != _said(other) for one, other in both)


def _tells(one: Handled) -> bool:
    return bool(one.answers) if one.status < _REFUSED else not _failed(one) and one.status != _GONE


def _failed(one: Handled) -> bool:
    return one.status == _BUSY or one.status >= _SERVER


def _said(one: Handled) -> Sequence[tuple[str, bool | None]] | int:
    return one.answers if one.status < _REFUSED else one.status


def judge(
    figures: Figures, bounds: Bounds, observation: Observation, *, elapsed_seconds: float, mirrored: bool
) -> Verdict:
    """Go on, wait or go back.

    A share goes back as soon as it must end above its bound: where the failures so far would be too many even if all
    requests that are still to come went well.

    Args:
        figures: since the stage began.
        bounds: of the policy.
        observation: what the stage asks for.
        elapsed_seconds: since the stage began.
        mirrored: whether the candidate gets copies, so that answers can be compared.
    """
    seen = figures.joined if mirrored else figures.candidate.requests
    reasons = [*_broken(figures, bounds, max(bounds.requests, observation.requests))]
    if reasons:
        return Verdict(outcome="go back", reasons=tuple(reasons))
    if seen >= observation.requests and elapsed_seconds >= observation.seconds:
        return Verdict(outcome="go on")
    if elapsed_seconds >= observation.patience_seconds:
        what = "requests that both pairs answered" if mirrored else "requests"
        return Verdict(
            outcome="go back",
            reasons=(
                f"not enough evidence: {seen} {what} in {elapsed_seconds:.0f} s, {observation.requests} are needed",
            ),
        )
    return Verdict(outcome="wait")


def _broken(figures: Figures, bounds: Bounds, needed: int) -> list[str]:
    candidate, stable = figures.candidate, figures.stable
    reasons = []
    if candidate.foreign:
        reasons.append(f"the candidate answered as pair {', '.join(candidate.foreign)}")
    if candidate.restarts > bounds.restarts:
        reasons.append(f"{candidate.restarts} containers started again, {bounds.restarts} may")
    if candidate.failures > bounds.error_rate * max(candidate.requests, needed):
        reasons.append(
            f"{candidate.failures} of {candidate.requests} requests failed, a share of {bounds.error_rate} may"
        )
    if figures.differing > bounds.disagreement * max(figures.joined, needed):
        reasons.append(
            f"{figures.differing} of {figures.joined} mirrored requests were answered differently, a share of "
            f"{bounds.disagreement} may be"
        )
    # A percentile of a few requests is their slowest.
    if candidate.p95_seconds is not None and candidate.requests >= needed:
        if candidate.p95_seconds > bounds.p95_seconds:
            reasons.append(f"95 % of the answers took up to {candidate.p95_seconds:.1f} s, {bounds.p95_seconds} s may")
        usual = stable.p95_seconds if stable is not None and stable.requests >= needed else None
        if usual is not None and candidate.p95_seconds > bounds.p95_ratio * usual:
            reasons.append(
                f"95 % of the answers took up to {candidate.p95_seconds:.1f} s, {bounds.p95_ratio} times the "
                f"{usual:.1f} s of the stable pair may"
            )
    return reasons
