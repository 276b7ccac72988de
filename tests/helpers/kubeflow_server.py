"""A small Kubeflow Pipelines endpoint: takes what the server API's own models take, and refuses the rest."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kfp_server_api

TOKEN = "a-token-of-the-test"
RUN_ID = "6f1c9f3e-0000-4000-8000-000000000001"


class _Response:
    def __init__(self, data: str) -> None:
        self.data = data


class Recorder:
    """What was asked of the server."""

    def __init__(self) -> None:
        self.runs: list[kfp_server_api.V2beta1Run] = []
        self.experiments: list[kfp_server_api.V2beta1Experiment] = []
        self.cookies: set[str] = set()
        self.recurring: dict[str, kfp_server_api.V2beta1RecurringRun] = {}
        self.deleted: list[str] = []
        self.state = "RUNNING"
        """Of the run that is asked for."""
        self.drop_answers = False
        """Take a run, and break the connection before the answer."""


def parse(body: bytes, model: str) -> Any:
    """The body as a model of the API; raises where a field is unknown or has another type."""
    kind = getattr(kfp_server_api, model)
    values = json.loads(body)
    unknown = set(values) - set(kind.attribute_map.values())
    if unknown:
        raise ValueError(f"{model} has no {sorted(unknown)}")
    configuration = kfp_server_api.Configuration()
    configuration.client_side_validation = True
    return kfp_server_api.ApiClient(configuration).deserialize(_Response(body.decode()), model)


@contextmanager
def kubeflow_server(*, accept_cookie: str = "") -> Iterator[tuple[str, Recorder]]:
    """Serve on a free port of this machine; yields the address and what was asked."""
    recorder = Recorder()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

        def _answer(self, status: int, content: Any) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _allowed(self) -> bool:
            cookie = self.headers.get("Cookie", "")
            if cookie:
                recorder.cookies.add(cookie)
            allowed = self.headers.get("authorization") == f"Bearer {TOKEN}" or (cookie and cookie == accept_cookie)
            if not allowed:
                self._answer(401, {"message": "no"})
            return bool(allowed)

        def do_GET(self) -> None:
            if not self._allowed():
                return
            path = urlsplit(self.path).path
            if path.endswith("/healthz"):
                self._answer(200, {"multi_user": False})
            elif path.endswith("/experiments"):
                known = [{"experiment_id": "e1", "display_name": one.display_name} for one in recorder.experiments[:1]]
                self._answer(200, {"experiments": known, "total_size": len(known)})
            elif path.endswith(f"/runs/{RUN_ID}"):
                self._answer(200, {**_run(), "state": recorder.state})
            elif path.endswith("/runs"):
                self._answer(200, {"runs": self._found_runs()})
            elif path.endswith("/recurringruns"):
                known = [
                    {"recurring_run_id": key, "display_name": one.display_name}
                    for key, one in recorder.recurring.items()
                ]
                self._answer(200, {"recurringRuns": known, "total_size": len(known)})
            else:
                self._answer(404, {"message": "no such thing"})

        def _found_runs(self) -> list[dict[str, Any]]:
            (text,) = parse_qs(urlsplit(self.path).query)["filter"]
            (predicate,) = json.loads(text)["predicates"]
            assert (predicate["operation"], predicate["key"]) == ("EQUALS", "display_name")
            names = [run.display_name for run in recorder.runs]
            return [{"run_id": RUN_ID, "display_name": name} for name in names if name == predicate["stringValue"]][:1]

        def do_DELETE(self) -> None:
            if self._allowed():
                key = urlsplit(self.path).path.rsplit("/", 1)[-1]
                recorder.deleted.append(key)
                del recorder.recurring[key]
                self._answer(200, {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if not self._allowed():
                return
            try:
                if self.path.endswith("/experiments"):
                    experiment = parse(body, "V2beta1Experiment")
                    recorder.experiments.append(experiment)
                    self._answer(200, {"experiment_id": "e1", "display_name": experiment.display_name})
                elif self.path.split("?")[0].endswith("/runs"):
                    recorder.runs.append(parse(body, "V2beta1Run"))
                    if recorder.drop_answers:
                        self.connection.close()
                        return
                    self._answer(200, {"run_id": RUN_ID, "state": "PENDING"})
                elif self.path.split("?")[0].endswith("/recurringruns"):
                    made = parse(body, "V2beta1RecurringRun")
                    key = f"recurring-{len(recorder.recurring) + len(recorder.deleted) + 1}"
                    recorder.recurring[key] = made
                    self._answer(200, {"recurring_run_id": key, "display_name": made.display_name})
                else:
                    self._answer(404, {"message": "no such thing"})
            except (ValueError, kfp_server_api.ApiException) as error:
                self._answer(400, {"message": str(error)})

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", recorder
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _run() -> dict[str, Any]:
    def task(name: str, state: str, start: str, end: str | None) -> dict[str, Any]:
        times = {"start_time": start} | ({"end_time": end} if end else {})
        return {"task_id": name, "display_name": name, "state": state, **times}

    return {
        "run_id": RUN_ID,
        "display_name": "smoke 34a5a336",
        "state": "RUNNING",
        "run_details": {
            "task_details": [
                task("fetch dataset", "SUCCEEDED", "2026-01-01T10:00:00Z", "2026-01-01T10:01:30Z"),
                task("assign splits", "RUNNING", "2026-01-01T10:01:31Z", None),
            ]
        },
    }
