"""Drives a roll-out: keeps each state before it acts on it, so that a rerun after any end goes on from there."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from covidctnet.errors import ClusterRefusedError, RolloutConflictError, RolloutError
from covidctnet.rollout.judgement import Figures, judge
from covidctnet.rollout.machine import OBSERVED, Pair, Rollout, advance, follow_verdict, go_back, split_of
from integrations.kubernetes_api import CONFLICT, FIELD_MANAGER, Cluster, Manifest
from integrations.rollout.manifests import (
    MANAGED_LABEL,
    OF_A_PAIR,
    PAIR_LABEL,
    RouteSettings,
    base_name,
    is_ready,
    read_split,
    render_pair,
    render_route,
    service_name,
)
from integrations.rollout.observations import Observer
from integrations.rollout.store import Clock, RolloutStore

_LOG = logging.getLogger(__name__)
_ROUTE_TRIES = 5
_REMOVE_TRIES = 3

OnChange = Callable[[Rollout, Figures | None], None]
"""Told each state, and what was seen in it."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where and how a site serves.

    Attributes:
        cluster: its namespace.
        template: what `kubectl kustomize` makes of its overlay.
        route: that clients come by.
        clock: of this process.
    """

    cluster: Cluster
    template: list[Manifest]
    route: RouteSettings
    clock: Clock


class RolloutDriver:
    """Goes from state to state until the roll-out has ended.

    Args:
        site: where.
        store: keeps the state; this process holds it.
        on_change: told what happens.
    """

    def __init__(self, site: Site, store: RolloutStore, on_change: OnChange) -> None:
        self._site, self._store, self._tell = site, store, on_change
        self._cluster, self._clock = site.cluster, site.clock
        self._applied = False

    def run(self, rollout: Rollout) -> Rollout:
        """Drive to the end; a stage that a rerun finds is done once more, which changes nothing that is done.

        Raises:
            RolloutConflictError: another process took over.
            ClusterOutageError: the API does not answer; the route stands as it was, and a rerun goes on.
            RolloutError: the way back is refused.
        """
        while True:
            self._store.write(rollout)
            self._tell(rollout, None)
            if rollout.ended:
                return rollout
            try:
                rollout = self._work(rollout)
            except ClusterRefusedError as error:
                if rollout.stage in {"retire", "return"}:
                    raise
                rollout = go_back(rollout, (str(error),), now=self._clock.now())

    def _work(self, rollout: Rollout) -> Rollout:
        """Make the cluster so as a state says, and give the state that follows."""
        if rollout.stage in {"return", "retire"}:
            if rollout.stage == "retire" and self._only_the_earlier_is_ready(rollout):
                reason = f"pair {rollout.candidate.pair_id} is not ready any more"
                return go_back(rollout, (reason,), now=self._clock.now(), intact=True)
            self._set_route(rollout)
            self._remove_all_but(rollout.serving)
            return advance(rollout, now=self._clock.now())
        if not self._applied:
            # Once a process: what one that was killed had begun is made whole.
            self._apply(rollout)
        if not self._wait_until_ready(rollout):
            reason = f"pair {rollout.candidate.pair_id} was not ready within {rollout.policy.ready_seconds:.0f} s"
            return go_back(rollout, (reason,), now=self._clock.now())
        self._set_route(rollout)
        if rollout.stage not in OBSERVED:
            return advance(rollout, now=self._clock.now())
        return self._observe(rollout)

    def _apply(self, rollout: Rollout) -> None:
        # Whoever took over may be removing this pair.
        self._store.write(rollout)
        for manifest in render_pair(self._site.template, rollout.candidate):
            self._cluster.apply(manifest)
        self._applied = True

    def _observe(self, rollout: Rollout) -> Rollout:
        names = [pair.pair_id for pair in (rollout.candidate, rollout.stable) if pair is not None]
        services = {name: service_name(self._site.template, name) for name in names}
        observer = Observer(self._cluster, services, rollout)
        while True:
            now = self._clock.now()
            figures = observer.look(now)
            verdict = judge(
                figures,
                rollout.policy.bounds,
                rollout.observation,
                elapsed_seconds=now - rollout.since,
                mirrored=rollout.stage == "shadow",
            )
            self._tell(rollout, figures)
            if not self._is_ready(rollout.candidate):
                return go_back(rollout, (f"pair {rollout.candidate.pair_id} is not ready any more",), now=now)
            if verdict.outcome != "wait":
                return follow_verdict(rollout, verdict, now=now)
            self._clock.sleep(rollout.policy.poll_seconds)
            self._store.write(rollout)

    def _wait_until_ready(self, rollout: Rollout) -> bool:
        """Whether the candidate is ready in time; the hold is renewed meanwhile."""
        name = service_name(self._site.template, rollout.candidate.pair_id)
        end = self._clock.now() + rollout.policy.ready_seconds
        while True:
            found = self._cluster.get("InferenceService", name)
            if found is not None and is_ready(found):
                return True
            left = end - self._clock.now()
            if left <= 0.0:
                return False
            if found is not None:
                seconds = min(left, rollout.policy.hold_seconds / 4)
                version = str(found["metadata"]["resourceVersion"])
                for seen in self._cluster.watch("InferenceService", name, version=version, seconds=seconds):
                    if is_ready(seen):
                        return True
            self._clock.sleep(min(left, rollout.policy.poll_seconds))
            self._store.write(rollout)

    def _only_the_earlier_is_ready(self, rollout: Rollout) -> bool:
        # Its InferenceService is removed first: while that is ready, the pair is whole.
        earlier = rollout.stable
        return earlier is not None and not self._is_ready(rollout.candidate) and self._is_ready(earlier)

    def _is_ready(self, pair: Pair) -> bool:
        found = self._cluster.get("InferenceService", service_name(self._site.template, pair.pair_id))
        return found is not None and is_ready(found)

    def _set_route(self, rollout: Rollout) -> None:
        """Have the route be as a state says, unless another process has taken over since.

        The route is read first, then the hold is renewed, then that very version of the route is changed: a process
        that was away for long cannot put an old state over a newer one.
        """
        name = base_name(self._site.template)
        split = split_of(rollout)
        for _ in range(_ROUTE_TRIES):
            found = self._cluster.get("HTTPRoute", self._site.route.name)
            self._store.write(rollout)
            if not split.weights:
                if found is not None:
                    self._cluster.delete("HTTPRoute", self._site.route.name)
                return
            wanted = render_route(self._site.route, name, split)
            if found is not None:
                wanted["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"]
            try:
                made = self._cluster.apply(wanted)
            except ClusterRefusedError as error:
                if error.status != CONFLICT:
                    raise
                _LOG.warning("the route was changed meanwhile", extra={"fields": {"stage": rollout.stage}})
                continue
            if read_split(made, name) != split:
                raise RolloutError(
                    f"HTTPRoute {self._site.route.name} sends requests elsewhere than it was told: another program "
                    "changes it; end that, then run this again"
                )
            return
        raise RolloutConflictError(f"another program keeps changing HTTPRoute {self._site.route.name}")

    def _remove_all_but(self, kept: Pair | None) -> None:
        """Remove what belongs to any other pair, and look that it is gone; the route has left them."""
        selector = f"{MANAGED_LABEL}={FIELD_MANAGER},{PAIR_LABEL}"
        for kind in OF_A_PAIR:
            for _ in range(_REMOVE_TRIES):
                others = [
                    found["metadata"]["name"]
                    for found in self._cluster.find(kind, selector)
                    if (kept is None or found["metadata"]["labels"][PAIR_LABEL] != kept.pair_id)
                    # It goes once its finalizers are done.
                    and "deletionTimestamp" not in found["metadata"]
                ]
                if not others:
                    break
                for name in others:
                    self._cluster.delete(kind, name)
            else:
                raise RolloutError(f"{kind} {', '.join(others)} cannot be removed; remove it, then run this again")
