"""Spans reach a collector where one is configured, belong to the caller's trace, and tell nothing of the study."""

import http.server
import threading
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.helpers.serving import Process, is_ready, post, start_transformer, wait_for
from tests.serving.conftest import Known

NAME = "DOE-JANE"
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.slow
def test_a_request_becomes_one_trace_with_its_stages(
    served_bundle: Path, predictor: Process, studies: list[Known], tmp_path: Path
) -> None:
    received: list[bytes] = []

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    collector = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=collector.serve_forever, args=(0.01,))
    thread.start()
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
    }
    try:
        process = start_transformer(served_bundle, predictor.grpc, tmp_path / "log", environment=environment)
        wait_for(lambda: is_ready(process))
        response = post(process, studies[0].data, headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"})
        assert response.status_code == 200
        assert httpx.get(f"{process.http}/{NAME}?patient={NAME}").status_code == 404
        assert process.stop() == 0
    finally:
        collector.shutdown()
        thread.join()
        collector.server_close()
    assert not any(NAME.encode() in body for body in received)
    spans = [
        span
        for body in received
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
        if span.trace_id.hex() == TRACE
    ]
    assert {span.name for span in spans} == {"plain", "upload", "read", "classify"}
