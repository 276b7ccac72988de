"""The state of the roll-out in the cluster: one ConfigMap, changed by compare-and-swap, held by one process."""

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from covidctnet.errors import ClusterRefusedError, RolloutConflictError, RolloutError
from covidctnet.rollout.machine import Rollout, parse_rollout
from integrations.kubernetes_api import CONFLICT, FIELD_MANAGER, NOT_FOUND, Cluster, Manifest
from integrations.rollout.manifests import MANAGED_LABEL

_LOOK_SECONDS = 2.0
_KEY, _HOLDER, _RENEWED = "rollout.json", "holder", "renewed"


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Time of this process; tests have another.

    Attributes:
        now: seconds since 1970.
        sleep: wait for some seconds.
    """

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


class RolloutStore:
    """Reads and writes the state; a write fails where another process wrote since.

    Args:
        cluster: where it is.
        name: of the ConfigMap.
        clock: of this process.
    """

    def __init__(self, cluster: Cluster, name: str, clock: Clock) -> None:
        self._cluster, self._name, self._clock = cluster, name, clock
        self._me = uuid.uuid4().hex
        self._version: str | None = None

    def read(self) -> Rollout | None:
        """The state; None where there was no roll-out yet.

        Raises:
            RolloutError: it cannot be understood.
        """
        return self._keep(self._cluster.get("ConfigMap", self._name))

    def _keep(self, found: Manifest | None) -> Rollout | None:
        """Remember which version was seen: a write is based on that one."""
        self._version = None if found is None else str(found["metadata"]["resourceVersion"])
        return None if found is None else _parse(found)

    def take(self, *, force: bool = False) -> Rollout | None:
        """Read the state to go on with it, once no other process holds it.

        Args:
            force: take it from a process that holds it, which then stops.

        Raises:
            RolloutConflictError: another process is at it.
        """
        seen = self._cluster.get("ConfigMap", self._name)
        while seen is not None and not force and not self._is_free(seen):
            self._clock.sleep(_LOOK_SECONDS)
            again = self._cluster.get("ConfigMap", self._name)
            if again is not None and again["data"].get(_RENEWED) != seen["data"].get(_RENEWED):
                raise RolloutConflictError(
                    "another process is at a roll-out here; wait for its end, or end it with "
                    "`covidctnet deploy --abort`"
                )
            seen = again
        return self._keep(seen)

    def _is_free(self, found: Manifest) -> bool:
        rollout, data = _parse(found), found["data"]
        if rollout.ended or data.get(_HOLDER) == self._me:
            return True
        return self._clock.now() - float(data.get(_RENEWED, 0.0)) > rollout.policy.hold_seconds

    def write(self, rollout: Rollout) -> None:
        """Keep a state, and the hold on it.

        Raises:
            RolloutConflictError: another process wrote since this one read or wrote.
        """
        data = {
            _KEY: json.dumps(rollout.to_dict(), sort_keys=True),
            _HOLDER: self._me,
            _RENEWED: f"{self._clock.now():.3f}",
        }
        try:
            if self._version is None:
                made = self._cluster.create(self._manifest(data))
            else:
                patch = {"metadata": {"resourceVersion": self._version}, "data": data}
                made = self._cluster.merge("ConfigMap", self._name, patch)
        except ClusterRefusedError as error:
            if error.status not in {CONFLICT, NOT_FOUND}:
                raise
            made = self._own(data)
        self._version = str(made["metadata"]["resourceVersion"])

    def _own(self, data: dict[str, str]) -> Manifest:
        """What is there, where it is this very write, whose first answer was lost."""
        found = self._cluster.get("ConfigMap", self._name)
        if found is None or found["data"] != data:
            raise RolloutConflictError("another process took this roll-out over; this one stops")
        return found

    def _manifest(self, data: dict[str, str]) -> Manifest:
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": self._name, "labels": {MANAGED_LABEL: FIELD_MANAGER}},
            "data": data,
        }


def _parse(found: Manifest) -> Rollout:
    try:
        values = json.loads(found["data"][_KEY])
    except (KeyError, TypeError, ValueError):
        raise RolloutError(
            f"ConfigMap {found['metadata']['name']} holds no state of a roll-out; look at the route, then remove it"
        ) from None
    return parse_rollout(values)
