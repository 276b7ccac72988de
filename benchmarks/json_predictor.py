"""The predictor's call as JSON over HTTP, as TensorFlow Serving's REST has it; for `benchmarks.serving_overhead` alone.

`python -m benchmarks.json_predictor BUNDLE` prints `listening json http=PORT` and serves until SIGTERM.
"""

import argparse
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np

from covidctnet.bundle import load_bundle
from covidctnet.networks.saving import load_classifier
from serving.lifetime import announce, stop_with_parent


def main() -> None:
    """Answer `{"instances": residual stacks}` with `{"predictions": probabilities}`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    stop_with_parent()
    classify = load_classifier(load_bundle(parser.parse_args().bundle).classifier_path)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """One call."""
            document = json.loads(self.rfile.read(int(self.headers["content-length"])))
            probabilities = classify(np.asarray(document["instances"], np.float32))
            body = json.dumps({"predictions": probabilities.tolist()}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the benchmark measures."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    announce("json", http=server.server_address[1])
    server.serve_forever()


if __name__ == "__main__":
    main()
