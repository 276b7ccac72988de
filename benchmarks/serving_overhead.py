"""Time what serving adds to a study: transformer and gRPC beside the Predictor in one process, and JSON beside gRPC.

`python -m benchmarks.serving_overhead --bundle runs/demo/bundle` takes about a minute. It prints tables in
Markdown; `--json FILE` keeps all figures, `--page docs/performance-serving.md` puts the tables into that page.
`--untrained paper` measures with the networks of that profile instead, whose weights nobody trained.
"""

import contextlib
import json
import statistics
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from benchmarks.command import choose_bundle, describe, parse_common, publish, require_studies
from benchmarks.serving_clients import OF_SERVING, difference
from benchmarks.timing import Times, take_turns
from covidctnet.bundle import Bundle, load_bundle
from serving.admission import Job
from serving.child import Child
from serving.running_pair import lay_out
from serving.settings import PredictorSettings
from serving.transformer.classifier import RemoteClassifier

TARGET = 0.05
"""Largest share of a study's time that serving may add."""

_MODEL = "covidctnet"
Stack = NDArray[np.float32]


@contextmanager
def started(module: str, *flags: str) -> Iterator[dict[str, int]]:
    """A process of this project that says where it listens; its ports by name."""
    child = Child([sys.executable, "-m", module, *flags])
    try:
        yield child.listen(threading.Event())
    finally:
        child.stop(10.0)


@contextmanager
def served(bundle: Bundle) -> Iterator[dict[str, str]]:
    """Predictor, a transformer that asks it, and the same classifier behind JSON; their addresses."""
    with tempfile.TemporaryDirectory(prefix="covidctnet-benchmark-") as folder, contextlib.ExitStack() as running:
        models = lay_out(bundle, Path(folder) / "models")
        grpc = running.enter_context(started("serving.predictor", f"--model_base_path={models}", "--port=0"))["grpc"]
        flags = [f"--predictor_host=127.0.0.1:{grpc}", "--http_port=0", "--grpc_port=0", "--no-auth"]
        http = running.enter_context(started("serving.transformer", f"--bundle={bundle.folder}", *flags))["http"]
        text = running.enter_context(started("benchmarks.json_predictor", str(bundle.folder)))["http"]
        yield {
            "predictor": f"127.0.0.1:{grpc}",
            "transformer": f"http://127.0.0.1:{http}/v1/studies",
            "JSON": f"http://127.0.0.1:{text}/",
        }


def measure(folder: Path, study: Path, rounds: int) -> dict[str, Any]:
    """All figures of a run."""
    from covidctnet.networks.saving import load_classifier
    from covidctnet.predictor import Predictor
    from covidctnet.reading import read_volume

    bundle, data = load_bundle(folder), study.read_bytes()
    classify, reader = load_classifier(bundle.classifier_path), bundle.config.reader
    predictor = Predictor.load(folder, classify=classify)
    stack = predictor.examine(read_volume(study, reader)).stack[None, ..., None]
    with served(bundle) as addresses, httpx.Client(timeout=600) as client, contextlib.ExitStack() as running:
        remote = RemoteClassifier(addresses["predictor"], _MODEL, bundle.serving_version, PredictorSettings())
        running.callback(remote.close)
        studies = {
            "in process": lambda: json.loads(predictor.predict(read_volume(study, reader)).to_json()),
            "served": lambda: _post(client, addresses["transformer"], data),
        }
        calls: dict[str, Callable[[], Stack]] = {
            "in process": lambda: classify(stack),
            "gRPC": lambda: remote.classify(stack, Job("benchmark", 60.0)),
            "JSON": lambda: _ask_json(client, addresses["JSON"], stack),
        }
        _require_same(studies, calls)
        whole, parts = take_turns(studies, rounds), take_turns(calls, 3 * rounds)
    return {
        "studies": asdict(whole),
        "calls": asdict(parts),
        "summary": summarise(whole, parts),
        "bytes": {"gRPC": stack.nbytes, "JSON": len(json.dumps({"instances": stack.tolist()}))},
        "profile": bundle.config.name,
        "study": study.name,
        "rounds": rounds,
        "machine": describe(),
    }


def _post(client: httpx.Client, url: str, data: bytes) -> dict[str, Any]:
    response = client.post(url, content=data, headers={"content-type": "application/zip"})
    if response.status_code != 200:
        raise SystemExit(f"the study was refused: {response.text[:500]}")
    answer: dict[str, Any] = response.json()
    return {name: value for name, value in answer.items() if name not in OF_SERVING}


def _ask_json(client: httpx.Client, url: str, stack: Stack) -> Stack:
    body = json.dumps({"instances": stack.tolist()})
    response = client.post(url, content=body, headers={"content-type": "application/json"})
    return np.asarray(response.raise_for_status().json()["predictions"], np.float32)


def _require_same(studies: Mapping[str, Callable[[], Any]], calls: Mapping[str, Callable[[], Stack]]) -> None:
    """Only what gives the same is compared."""
    problem = difference(studies["served"](), studies["in process"]())
    if problem is not None:
        raise SystemExit(f"the served answer differs: {problem}")
    expected = calls["in process"]()
    for name, call in calls.items():
        if not np.allclose(call(), expected, rtol=0, atol=1e-6):
            raise SystemExit(f"the classifier answers differently by {name}")


def summarise(whole: Times, parts: Times) -> dict[str, float]:
    """What serving adds, as shares of a study's time in one process.

    The overhead is the median of the differences of neighbouring runs, so that a machine that grows slower hits both.
    """
    pairs = zip(whole.seconds["served"], whole.seconds["in process"], strict=True)
    study = whole.median("in process")
    overhead = statistics.median(served - alone for served, alone in pairs)
    inside = parts.median("in process")
    return {
        "study_seconds": study,
        "served_seconds": whole.median("served"),
        "overhead_seconds": overhead,
        "overhead_share": overhead / study,
        "grpc_share": (parts.median("gRPC") - inside) / study,
        "json_share": (parts.median("JSON") - inside) / study,
    }


def to_markdown(figures: Mapping[str, Any]) -> str:
    """The tables, with what is needed to understand them."""
    summary, machine, sizes = figures["summary"], figures["machine"], figures["bytes"]
    calls = {name: statistics.median(values) for name, values in figures["calls"]["seconds"].items()}
    met = "" if summary["overhead_share"] <= TARGET else ", missed"
    return "\n".join(
        [
            "| | in one process | served | serving adds |",
            "|---|---:|---:|---:|",
            f"| whole study | {summary['study_seconds']:.3f} s | {summary['served_seconds']:.3f} s | "
            f"{1000 * summary['overhead_seconds']:.0f} ms, {100 * summary['overhead_share']:.1f} % "
            f"(at most {100 * TARGET:.0f} %{met}) |",
            "",
            "| the classifier's call | time | beyond the call in process, share of a study | bytes sent |",
            "|---|---:|---:|---:|",
            f"| in one process | {1000 * calls['in process']:.1f} ms | | |",
            f"| gRPC, raw tensor | {1000 * calls['gRPC']:.1f} ms | {100 * summary['grpc_share']:.2f} % | "
            f"{sizes['gRPC']:,} |",
            f"| JSON over HTTP | {1000 * calls['JSON']:.1f} ms | {100 * summary['json_share']:.2f} % | "
            f"{sizes['JSON']:,} |",
            "",
            f"Medians of {figures['rounds']} studies in turn ({figures['study']}, profile {figures['profile']}) on "
            f"{machine['cores']} cores; what serving adds is the median difference of neighbouring runs. Code "
            f"{machine['code_version']}.",
        ]
    )


def main() -> None:
    """Measure, print, write."""
    parser = parse_common(__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="studies a version")
    arguments = parser.parse_args()
    require_studies(arguments.studies[:1])
    with choose_bundle(arguments, "serving-overhead") as (bundle, place):
        figures = measure(bundle, arguments.studies[0], arguments.rounds)
    publish(arguments, figures, place, to_markdown(figures))


if __name__ == "__main__":
    main()
