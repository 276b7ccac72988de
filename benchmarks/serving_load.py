"""Load `covidctnet serve` with eight clients and check every answer against its offline oracle.

`python -m benchmarks.serving_load --bundle runs/demo/bundle` takes two minutes and a half. It prints tables in
Markdown; `--json FILE` keeps all figures, `--page docs/performance-serving.md` puts the tables into that page.
`--untrained paper` measures with the networks of that profile, whose weights nobody trained. It ends with status 1
where a study was lost or answered wrongly.
"""

import json
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.command import choose_bundle, describe, parse_common, publish, require_studies
from benchmarks.serving_clients import Study, Tally, ask_offline, send_once, send_until
from benchmarks.serving_process import MemoryWatch, Serve, serving


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
    return {
        "load": figures,
        "workers": workers,
        "queue": queue,
        "profile": studies[0].oracle["profile"],
        "studies": [study.name for study in studies],
        "machine": describe(),
    }


def main() -> None:
    """Measure, print, write."""
    parser = parse_common(__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="how long studies are sent")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2, help="studies worked on at once")
    parser.add_argument("--queue", type=int, default=4, help="studies that wait; fewer places than clients show 429")
    arguments = parser.parse_args()
    require_studies(arguments.studies)
    with choose_bundle(arguments, "serving-load") as (bundle, place):
        figures = measure(
            bundle,
            arguments.studies,
            clients=arguments.clients,
            seconds=arguments.seconds,
            workers=arguments.workers,
            queue=arguments.queue,
        )
    publish(arguments, figures, place, to_markdown(figures))
    run = figures["load"]
    if run["lost"] or run["wrong"] or not run["answers_after_the_load"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
