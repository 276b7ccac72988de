"""Load `covidctnet serve` with eight clients and check every answer against its offline oracle.

`python -m benchmarks.serving_load --bundle runs/demo/bundle` takes two minutes and a half. It prints tables in
Markdown; `--json FILE` keeps all figures, `--page docs/performance-serving.md` puts the tables into that page.
It ends with status 1 where a study was lost or answered wrongly.
"""

import argparse
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.serving_process import MemoryWatch, Serve, serving
from benchmarks.table import put_into_page
from covidctnet.machine import describe_machine

SERIES = ("covid-a.zip", "cap-a.zip", "control-a.zip")
TOLERANCE = 1e-6
"""Largest difference of a number from that of the command line."""

_PATIENCE_SECONDS = 600.0

OF_SERVING = frozenset({"model_version", "request_id", "timings"})
"""What an answer of the server holds beyond that of the command line."""


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


def load(server: Serve, studies: Sequence[Study], *, clients: int, seconds: float) -> dict[str, Any]:
    """Send studies by several clients at once; all figures."""
    tally, watch = Tally(), MemoryWatch(server.processes)
    send_once(server.url, studies)
    before, began = count_answers(server), time.monotonic()
    with watch.watch():
        threads = [
            threading.Thread(target=send_until, args=(server.url, studies, number, began + seconds, tally))
            for number in range(clients)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    elapsed = time.monotonic() - began
    counted = count_answers(server) - before
    last = send_once(server.url, studies[:1])
    return {
        "clients": clients,
        "seconds": elapsed,
        "statuses": dict(tally.statuses),
        "lost": [*tally.lost, *last.lost],
        "wrong": [*tally.wrong, *last.wrong],
        "answers_by_the_servers_count": counted,
        "answers_after_the_load": last.statuses["200"],
        "studies_per_minute": 60 * tally.statuses["200"] / elapsed,
        "stages": {stage: percentiles(values) for stage, values in sorted(tally.stages.items())},
        "memory": {name: memory_course(values) for name, values in watch.mebibytes.items()},
        "samples": {"seconds": watch.seconds, "mebibytes": watch.mebibytes},
    }


def count_answers(server: Serve) -> float:
    """Answers by the server's own count, which it makes just after it has sent one."""
    time.sleep(1.0)
    return server.metric('covidctnet_requests_total{protocol="plain",status="200"}')


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Median, 99th percentile and number of some seconds."""
    p50, p99 = np.percentile(values, [50, 99])
    return {"p50": float(p50), "p99": float(p99), "count": len(values)}


def memory_course(mebibytes: Sequence[float]) -> dict[str, float]:
    """Medians of resident memory in the second and the last quarter of the time, and its peak.

    The first quarter is left out: both processes grow to their working size in it.
    """
    values, quarter = np.asarray(mebibytes), max(1, len(mebibytes) // 4)
    early = float(np.median(values[quarter : 2 * quarter] if len(values) >= 4 else values))
    late = float(np.median(values[-quarter:]))
    return {"early_mib": early, "late_mib": late, "growth": late / early - 1, "peak_mib": float(values.max())}


def to_markdown(figures: Mapping[str, Any]) -> str:
    """What happened, in words and tables."""
    run, machine = figures["load"], figures["machine"]
    statuses = run["statuses"]
    refused = statuses.get("429", 0)
    after = "a" if run["answers_after_the_load"] else "no"
    lines = [
        f"{run['clients']} clients for {run['seconds']:.0f} s on {machine['cores']} cores, {figures['workers']} "
        f"workers, {figures['queue']} places to wait, profile {figures['profile']}, studies "
        f"{', '.join(figures['studies'])}: **{statuses.get('200', 0)} answers, {len(run['wrong'])} wrong, "
        f"{len(run['lost'])} lost**, {refused} times 429 with a time to come back; {run['studies_per_minute']:.1f} "
        f"studies a minute. The server counted {run['answers_by_the_servers_count']:.0f} answers, and answered {after} "
        "study after the load.",
        "",
        "| stage | p50 | p99 |",
        "|---|---:|---:|",
    ]
    for stage, row in run["stages"].items():
        lines.append(f"| {stage} | {row['p50']:.3f} s | {row['p99']:.3f} s |")
    lines += ["", "| memory | second quarter | last quarter | growth | peak |", "|---|---:|---:|---:|---:|"]
    for name, row in run["memory"].items():
        lines.append(
            f"| {name} | {row['early_mib']:.0f} MiB | {row['late_mib']:.0f} MiB | {100 * row['growth']:+.1f} % | "
            f"{row['peak_mib']:.0f} MiB |"
        )
    lines += ["", f"Code {machine['code_version']}. `total` is the server's own time, `client` what the client waits."]
    return "\n".join(lines)


def measure(
    bundle: Path, paths: Sequence[Path], *, clients: int, seconds: float, workers: int, queue: int
) -> dict[str, Any]:
    """All figures of a run."""
    studies = ask_offline(paths, bundle)
    settings = json.dumps({"admission": {"workers": workers, "queue": queue}})
    with serving(bundle, settings) as server:
        figures = load(server, studies, clients=clients, seconds=seconds)
    facts = describe_machine()
    return {
        "load": figures,
        "workers": workers,
        "queue": queue,
        "profile": studies[0].oracle["profile"],
        "studies": [study.name for study in studies],
        "machine": {key: facts[key] for key in ("code_version", "cores", "gpus", "packages", "python")},
    }


def parse_common(description: str | None) -> argparse.ArgumentParser:
    """Arguments that both serving benchmarks have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
    parser.add_argument("--bundle", type=Path, default=Path("runs/demo/bundle"), help="folder of the bundle")
    parser.add_argument(
        "--studies", type=Path, nargs="+", default=[data / "series" / name for name in SERIES], help="zips of CT series"
    )
    parser.add_argument("--json", type=Path, help="keep all figures in this file")
    parser.add_argument("--page", type=Path, help="put the tables into this page")
    return parser


def require_studies(paths: Sequence[Path]) -> None:
    """Say what is missing, in one line.

    Raises:
        SystemExit: a study is not there.
    """
    if not all(path.is_file() for path in paths):
        raise SystemExit("there are no such series: name zips by --studies, or the folder of all by SHARED_DATA")


def publish(arguments: argparse.Namespace, figures: Mapping[str, Any], name: str, text: str) -> None:
    """Print the text, keep the figures, put the text into the page."""
    print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2), "utf-8")
    if arguments.page:
        put_into_page(arguments.page, name, text)


def main() -> None:
    """Measure, print, write."""
    parser = parse_common(__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="how long studies are sent")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2, help="studies worked on at once")
    parser.add_argument("--queue", type=int, default=4, help="studies that wait; fewer places than clients show 429")
    arguments = parser.parse_args()
    require_studies(arguments.studies)
    figures = measure(
        arguments.bundle,
        arguments.studies,
        clients=arguments.clients,
        seconds=arguments.seconds,
        workers=arguments.workers,
        queue=arguments.queue,
    )
    publish(arguments, figures, "serving-load", to_markdown(figures))
    run = figures["load"]
    if run["lost"] or run["wrong"] or not run["answers_after_the_load"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
