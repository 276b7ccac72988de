"""Serving processes for tests: real ones, on free ports, whose logs are kept."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from covidctnet.bundle import load_bundle
from serving.lifetime import PARENT_PIPE

ZIP = {"content-type": "application/zip"}
ROOT = Path(__file__).parents[2]


@dataclass
class Process:
    """A serving process that has said where it listens."""

    popen: subprocess.Popen[str]
    log: Path
    ports: dict[str, int] = field(default_factory=dict)

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.ports['http']}"

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.ports['grpc']}"

    def logs(self) -> list[dict[str, Any]]:
        whole, _, _ = self.log.read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end."""
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        code = self.popen.wait(60)
        for stream in (self.popen.stdin, self.popen.stdout):
            assert stream is not None
            stream.close()
        return code


def start(log: Path, *command: object, environment: dict[str, str] | None = None) -> Process:
    """Start `python -m serving.…` and wait until it listens."""
    with log.open("w") as errors:
        popen = subprocess.Popen(
            [sys.executable, "-m", *map(str, command)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=ROOT,
            env=os.environ | {PARENT_PIPE: "1", "PYTHONPATH": str(ROOT)} | (environment or {}),
        )
    process = Process(popen, log)
    assert popen.stdout is not None
    line = popen.stdout.readline()
    if not line.startswith("listening"):
        process.stop()
        raise AssertionError(f"{command[0]} did not start: {log.read_text()}")
    process.ports = {name: int(port) for name, port in re.findall(r"(\w+)=(\d+)", line)}
    return process


def start_predictor(models: Path, log: Path, *, port: int = 0) -> Process:
    """The embedded predictor on version folders."""
    return start(log, "serving.predictor", f"--model_base_path={models}", f"--port={port}")


def start_transformer(
    bundle: Path, predictor: str, log: Path, *flags: str, environment: dict[str, str] | None = None
) -> Process:
    """A transformer that asks the predictor at an address."""
    access = () if any(flag.startswith("--tokens") for flag in flags) else ("--no-auth",)
    return start(
        log,
        "serving.transformer",
        f"--bundle={bundle}",
        f"--predictor_host={predictor}",
        "--http_port=0",
        "--grpc_port=0",
        *access,
        *flags,
        environment=environment,
    )


def start_pair(bundle: Path, models: Path, folder: Path) -> tuple[Process, Process]:
    """A predictor and a transformer, started side by side since both take seconds to import their libraries."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with ThreadPoolExecutor(2) as pool:
        predictor = pool.submit(start_predictor, models, folder / "predictor.log", port=port)
        transformer = pool.submit(start_transformer, bundle, f"127.0.0.1:{port}", folder / "transformer.log")
    pair = predictor.result(), transformer.result()
    wait_for(lambda: is_ready(pair[1]))
    return pair


def lay_out_version(models: Path, bundle: Path, version: int | None = None) -> Path:
    """A base path that serves a bundle's classifier under its own version, or another."""
    models.mkdir(parents=True, exist_ok=True)
    (models / str(version or load_bundle(bundle).serving_version)).symlink_to(bundle / "classifier")
    return models


def post(server: Process, study: bytes, **more: Any) -> httpx.Response:
    """Post a zip the plain way."""
    return httpx.post(f"{server.http}/v1/studies", content=study, headers=ZIP | more.pop("headers", {}), timeout=120)


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)


def is_ready(server: Process) -> bool:
    return httpx.get(f"{server.http}/v2/health/ready", timeout=10).status_code == 200
