"""Clients that post studies to the server and check each answer against its offline oracle."""

import json
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

TOLERANCE = 1e-6
"""Largest difference of a number from that of the command line."""

OF_SERVING = frozenset({"model_version", "request_id", "timings"})
"""What an answer of the server holds beyond that of the command line."""

_PATIENCE_SECONDS = 600.0


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study as a client sends it, and what `covidctnet predict --json` says of it."""

    name: str
    data: bytes
    oracle: dict[str, Any]


@dataclass
class Tally:
    """What happened to the requests; every client adds to it."""

    statuses: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    stages: dict[str, list[float]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add_answer(self, study: Study, answer: Mapping[str, Any], seconds: float) -> None:
        """Check an answer against its oracle, and count its stages."""
        problem = difference({name: answer[name] for name in answer.keys() - OF_SERVING}, study.oracle)
        with self.lock:
            self.statuses["200"] += 1
            if problem is not None:
                self.wrong.append(f"{study.name}: {problem}")
            for stage, value in {**answer["timings"], "client": seconds}.items():
                self.stages.setdefault(stage, []).append(value)

    def add_refusal(self, status: int, text: str) -> None:
        """A full queue is an answer; anything else is a lost study."""
        with self.lock:
            self.statuses[str(status)] += 1
            if status != 429:
                self.lost.append(f"{status}: {text[:200]}")

    def add_failure(self, error: Exception) -> None:
        """No answer at all."""
        with self.lock:
            self.statuses["no answer"] += 1
            self.lost.append(type(error).__name__)


def difference(found: Any, expected: Any, place: str = "answer") -> str | None:
    """Where two JSON documents differ by more than `TOLERANCE`; None where they do not."""
    if isinstance(expected, float) and isinstance(found, int | float):
        return None if abs(found - expected) <= TOLERANCE else f"{place} is {found}, not {expected}"
    if isinstance(expected, dict) and isinstance(found, dict) and found.keys() == expected.keys():
        problems = (difference(found[name], expected[name], f"{place}.{name}") for name in sorted(expected))
        return next((problem for problem in problems if problem), None)
    if isinstance(expected, list) and isinstance(found, list) and len(found) == len(expected):
        pairs = enumerate(zip(found, expected, strict=True))
        problems = (difference(one, other, f"{place}[{number}]") for number, (one, other) in pairs)
        return next((problem for problem in problems if problem), None)
    return None if found == expected else f"{place} is {found!r}, not {expected!r}"


def ask_offline(paths: Sequence[Path], bundle: Path) -> list[Study]:
    """The studies with the answers that they must get."""
    from covidctnet.predictor import Predictor
    from covidctnet.reading import read_volume

    predictor = Predictor.load(bundle)
    studies = []
    for path in paths:
        answer = predictor.predict(read_volume(path, predictor.bundle.config.reader))
        studies.append(Study(name=path.name, data=path.read_bytes(), oracle=json.loads(answer.to_json())))
    return studies


def send(client: httpx.Client, url: str, study: Study, tally: Tally) -> float | None:
    """Send a study once; None where it was answered, else the seconds after which it may be sent again."""
    began = time.monotonic()
    try:
        response = client.post(f"{url}/v1/studies", content=study.data, headers={"content-type": "application/zip"})
    except httpx.HTTPError as error:
        tally.add_failure(error)
        return 0.0
    if response.status_code == 200:
        tally.add_answer(study, response.json(), time.monotonic() - began)
        return None
    tally.add_refusal(response.status_code, response.text)
    return float(response.headers.get("retry-after", "1"))


def send_until(url: str, studies: Sequence[Study], first: int, deadline: float, tally: Tally) -> None:
    """One client: sends a study after the other and comes back when it is told to.

    Args:
        url: of the server.
        studies: taken in turn.
        first: with which study it begins.
        deadline: of the monotonic clock, after which no study is sent.
        tally: receives what happened.
    """
    with httpx.Client(timeout=_PATIENCE_SECONDS) as client:
        number = first
        while time.monotonic() < deadline:
            pause = send(client, url, studies[number % len(studies)], tally)
            if pause is None:
                number += 1
            else:
                time.sleep(max(0.0, min(pause, deadline - time.monotonic())))


def send_once(url: str, studies: Sequence[Study]) -> Tally:
    """Every study once, one after the other."""
    tally = Tally()
    with httpx.Client(timeout=_PATIENCE_SECONDS) as client:
        for study in studies:
            send(client, url, study, tally)
    return tally
