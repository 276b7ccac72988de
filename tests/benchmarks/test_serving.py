"""The load benchmark finds what is wrong, lost and growing; both run against real processes."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchmarks import serving_load, serving_overhead
from benchmarks.serving_clients import Study, Tally, difference, send_until
from benchmarks.serving_load import memory_course, percentiles
from benchmarks.timing import Times
from tests.helpers.components_run import ComponentsRun

ORACLE = {"label": "CAP", "covid_positive": None, "probabilities": {"CAP": 0.75}, "warnings": ["a"], "series": "1"}


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({}, None),
        ({"probabilities": {"CAP": 0.75 + 9e-7}}, None),
        ({"probabilities": {"CAP": 0.75 + 2e-6}}, r"answer.probabilities.CAP is 0.750002, not 0.75"),
        ({"probabilities": {"CAP": float("nan")}}, "answer.probabilities.CAP is nan, not 0.75"),
        ({"label": "Control"}, "answer.label is 'Control', not 'CAP'"),
        ({"covid_positive": False}, "answer.covid_positive is False, not None"),
        ({"warnings": ["a", "b"]}, "answer.warnings is ['a', 'b'], not ['a']"),
        ({"more": 1}, "answer is"),
    ],
)
def test_an_answer_is_compared_field_by_field(changed: dict[str, Any], problem: str | None) -> None:
    found = difference(ORACLE | changed, ORACLE)
    assert (found is None) if problem is None else (found or "").startswith(problem)


class Scripted(BaseHTTPRequestHandler):
    """Answers requests by a script of statuses; each body says which study it was asked about."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """One scripted answer."""
        study = self.rfile.read(int(self.headers["content-length"])).decode()
        script = self.server.script  # type: ignore[attr-defined]
        status = script.pop(0) if script else 200
        if status == 0:
            self.close_connection = True
            return
        answer = ORACLE | {"series": "other" if status == 299 else study}
        extra = {"model_version": "1", "request_id": "r", "timings": {"total": 0.5}}
        body = json.dumps(answer | extra).encode()
        self.send_response(200 if status == 299 else status)
        if status == 429:
            self.send_header("retry-after", "0.01")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def scripted() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_client_counts_answers_refusals_and_losses(scripted: ThreadingHTTPServer) -> None:
    scripted.script = [200, 429, 299, 503, 0]  # type: ignore[attr-defined]
    studies = [Study(name=name, data=name.encode(), oracle=ORACLE | {"series": name}) for name in ("one", "two")]
    tally = Tally()
    url = f"http://127.0.0.1:{scripted.server_address[1]}"
    send_until(url, studies, 0, time.monotonic() + 1.5, tally)
    assert tally.statuses["429"] == tally.statuses["503"] == tally.statuses["no answer"] == 1
    assert tally.statuses["200"] >= 3
    assert tally.wrong == ["two: answer.series is 'other', not 'two'"]
    assert len(tally.lost) == 2
    assert set(tally.stages) == {"total", "client"}


def test_memory_that_grows_is_seen_and_the_start_is_left_out() -> None:
    assert memory_course([10, 100, 100, 100, 100, 100, 100, 100])["growth"] == 0.0
    assert memory_course([10, 10, 100, 100, 110, 120, 130, 140])["growth"] == pytest.approx(0.35)
    assert memory_course([5])["peak_mib"] == 5
    assert percentiles([1.0, 2.0, 3.0]) == {"p50": 2.0, "p99": pytest.approx(2.98), "count": 3}


def test_the_overhead_is_that_of_neighbouring_runs() -> None:
    whole = Times(seconds={"in process": [1.0, 2.0, 9.0], "served": [1.1, 2.1, 9.1]})
    parts = Times(seconds={"in process": [0.01], "gRPC": [0.03], "JSON": [1.01]})
    summary = serving_overhead.summarise(whole, parts)
    assert summary["overhead_seconds"] == pytest.approx(0.1)
    assert summary["overhead_share"] == pytest.approx(0.05)
    assert summary["grpc_share"] == pytest.approx(0.01)
    assert summary["json_share"] == pytest.approx(0.5)


@pytest.fixture
def phantoms(components_run: ComponentsRun) -> list[Path]:
    cohort = components_run.cohort
    return [cohort.path(case.case) for case in cohort.cases[:3]]


@pytest.mark.slow
def test_load_on_the_real_server_loses_nothing(components_run: ComponentsRun, phantoms: list[Path]) -> None:
    bundle = components_run.path("evaluated")
    figures = serving_load.measure(bundle, phantoms, clients=8, seconds=6, workers=1, queue=2)
    run = figures["load"]
    assert run["lost"] == run["wrong"] == []
    assert run["statuses"]["429"] > 0
    assert run["answers_by_the_servers_count"] == run["statuses"]["200"] > 5
    assert run["answers_after_the_load"] == 1
    assert {"read", "denoise", "classify", "queue", "total", "client"} <= run["stages"].keys()
    assert set(run["memory"]) == {"transformer", "predictor"}
    text = serving_load.to_markdown(json.loads(json.dumps(figures)))
    assert f"**{run['statuses']['200']} answers, 0 wrong, 0 lost**" in text


@pytest.mark.slow
def test_overhead_is_measured_against_the_same_answers(components_run: ComponentsRun, phantoms: list[Path]) -> None:
    figures = serving_overhead.measure(components_run.path("evaluated"), phantoms[0], 2)
    assert figures["bytes"]["JSON"] > 2 * figures["bytes"]["gRPC"] > 0
    calls = figures["calls"]["seconds"]
    assert {name: len(values) for name, values in calls.items()} == {"in process": 6, "gRPC": 6, "JSON": 6}
    assert min(calls["JSON"]) > min(calls["gRPC"])
    text = serving_overhead.to_markdown(json.loads(json.dumps(figures)))
    assert "| gRPC, raw tensor |" in text
