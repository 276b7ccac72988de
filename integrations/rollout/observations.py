"""What the pairs did, from their own logs: each request and, joined by its id, each answer."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from covidctnet.rollout.judgement import Figures, Handled, compare, summarise
from covidctnet.rollout.machine import Rollout
from integrations.kubernetes_api import Cluster

_CONTAINER = "kserve-container"
_OVERLAP_SECONDS = 10.0
"""Each look reads a little of what the one before it read: the API takes whole seconds, and nodes have clocks."""


class Journal:
    """Requests and answers of one pair in one stage, as they are read from its transformers' logs.

    Args:
        since: seconds since 1970; requests that ended before are left out.
    """

    def __init__(self, since: float) -> None:
        self._since = since
        self._answers: dict[str, list[dict[str, Any]]] = {}
        self._requests: dict[str, dict[str, Any]] = {}

    def add(self, lines: Iterable[str]) -> None:
        """Read lines as `serving.telemetry.logs` writes them, also some that were read before; pass over others."""
        answers: dict[str, list[dict[str, Any]]] = {}
        for entry in filter(None, map(_entry, lines)):
            identifier, event = str(entry.get("request_id", "")), entry.get("event")
            if not identifier:
                continue
            if event == "answer":
                answers.setdefault(identifier, []).append(entry)
            elif event == "request" and isinstance(entry.get("status"), int) and _time(entry) >= self._since:
                self._requests[identifier] = entry
        for identifier, found in answers.items():
            # A request with several studies logs their answers at once.
            if len(found) >= len(self._answers.get(identifier, [])):
                self._answers[identifier] = found

    def handled(self) -> dict[str, Handled]:
        """Requests by their id."""
        return {identifier: self._handled(identifier, entry) for identifier, entry in self._requests.items()}

    def _handled(self, identifier: str, entry: dict[str, Any]) -> Handled:
        answers = self._answers.get(identifier, [])
        return Handled(
            status=entry["status"],
            seconds=float(entry["seconds"]),
            answers=tuple((str(one["label"]), one["covid_positive"]) for one in answers),
            pair_ids=frozenset(str(one["pair_id"]) for one in answers),
        )


class Observer:
    """Looks at both pairs again and again, and reads of their logs what is new.

    Args:
        cluster: where they run.
        services: names of the InferenceServices by `pair_id`.
        rollout: says which pairs, and since when.
    """

    def __init__(self, cluster: Cluster, services: dict[str, str], rollout: Rollout) -> None:
        self._cluster, self._services, self._rollout = cluster, services, rollout
        self._journals = {pair_id: Journal(rollout.since) for pair_id in services}
        self._read_until = rollout.since

    def look(self, now: float) -> Figures:
        """Figures of both pairs from the begin of the stage until now, seconds since 1970."""
        rollout = self._rollout
        new, old = rollout.candidate.pair_id, rollout.stable.pair_id if rollout.stable else None
        restarts = self._read(new)
        if old is not None:
            self._read(old)
        self._read_until = now
        candidate = self._journals[new].handled()
        stable = self._journals[old].handled() if old is not None else {}
        joined, differing = compare(candidate, stable) if rollout.stage == "shadow" else (0, 0)
        return Figures(
            candidate=summarise(new, candidate, restarts),
            stable=summarise(old, stable, 0) if old is not None else None,
            joined=joined,
            differing=differing,
        )

    def _read(self, pair_id: str) -> int:
        """Add what a pair's transformers have logged since the last look; how often its containers started again."""
        start = datetime.fromtimestamp(self._read_until - _OVERLAP_SECONDS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        restarts = 0
        for pod in self._cluster.find("Pod", f"serving.kserve.io/inferenceservice={self._services[pair_id]}"):
            statuses = pod.get("status", {}).get("containerStatuses", [])
            restarts += sum(int(one.get("restartCount", 0)) for one in statuses)
            if pod["metadata"]["labels"].get("component") == "transformer":
                lines = self._cluster.logs(pod["metadata"]["name"], container=_CONTAINER, since=start)
                self._journals[pair_id].add(lines)
        return restarts


def _entry(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _time(entry: dict[str, Any]) -> float:
    return datetime.fromisoformat(str(entry["time"])).timestamp()
