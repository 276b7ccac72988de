"""What the pairs did, from their own logs: each request and, joined by its id, each answer."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from covidctnet.rollout.judgement import Figures, Handled, compare, summarise
from covidctnet.rollout.machine import Rollout
from integrations.kubernetes_api import Cluster

_CONTAINER = "kserve-container"
_OVERLAP_SECONDS = 2.0
"""The API takes whole seconds; lines of before are left out by their own time."""


def observe(cluster: Cluster, services: dict[str, str], rollout: Rollout) -> Figures:
    """Figures of both pairs since the stage began.

    Args:
        cluster: where they run.
        services: names of the InferenceServices by `pair_id`.
        rollout: says which pairs, and since when.
    """
    new, old = rollout.candidate, rollout.stable
    candidate, restarts = _look(cluster, services[new.pair_id], rollout.since)
    stable, _ = _look(cluster, services[old.pair_id], rollout.since) if old else ({}, 0)
    joined, differing = compare(candidate, stable) if rollout.stage == "shadow" else (0, 0)
    return Figures(
        candidate=summarise(new.pair_id, candidate, restarts),
        stable=summarise(old.pair_id, stable, 0) if old else None,
        joined=joined,
        differing=differing,
    )


def _look(cluster: Cluster, service: str, since: float) -> tuple[dict[str, Handled], int]:
    """Requests of a pair by their id, and how often its containers started again."""
    start = datetime.fromtimestamp(since - _OVERLAP_SECONDS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    handled: dict[str, Handled] = {}
    restarts = 0
    for pod in cluster.find("Pod", f"serving.kserve.io/inferenceservice={service}"):
        statuses = pod.get("status", {}).get("containerStatuses", [])
        restarts += sum(int(one.get("restartCount", 0)) for one in statuses)
        if pod["metadata"]["labels"].get("component") == "transformer":
            lines = cluster.logs(pod["metadata"]["name"], container=_CONTAINER, since=start)
            handled |= read_requests(lines, since=since)
    return handled, restarts


def read_requests(lines: Iterable[str], *, since: float) -> dict[str, Handled]:
    """Requests by their id, from one transformer's log.

    Args:
        lines: as `serving.telemetry.logs` writes them; others are passed over.
        since: seconds since 1970; what ended before is left out.
    """
    answers: dict[str, list[dict[str, Any]]] = {}
    requests: dict[str, dict[str, Any]] = {}
    for line in lines:
        entry = _entry(line)
        if entry is None or "request_id" not in entry:
            continue
        if entry.get("event") == "answer":
            answers.setdefault(entry["request_id"], []).append(entry)
        elif entry.get("event") == "request" and isinstance(entry.get("status"), int) and _time(entry) >= since:
            requests[entry["request_id"]] = entry
    return {
        identifier: Handled(
            status=entry["status"],
            seconds=float(entry["seconds"]),
            answers=tuple((str(one["label"]), one["covid_positive"]) for one in answers.get(identifier, [])),
            pair_ids=frozenset(str(one["pair_id"]) for one in answers.get(identifier, [])),
        )
        for identifier, entry in requests.items()
    }


def _entry(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _time(entry: dict[str, Any]) -> float:
    return datetime.fromisoformat(str(entry["time"])).timestamp()
