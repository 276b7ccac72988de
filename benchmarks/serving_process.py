"""`covidctnet serve` as a process of a benchmark: started, found out about, stopped."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from benchmarks.sampling import sampled

_START_SECONDS = 180.0
_PARTS = ("transformer", "predictor")
_COMMAND = [sys.executable, "-c", "from cli.main import main; main()", "serve"]


@dataclass(frozen=True, kw_only=True)
class Serve:
    """A running `covidctnet serve`.

    Attributes:
        url: of its HTTP server.
        processes: transformer and predictor.
    """

    url: str
    processes: dict[str, psutil.Process]

    def metric(self, line: str) -> float:
        """The value of one line of `/metrics`; 0 where it is not there."""
        text = httpx.get(f"{self.url}/metrics", timeout=30).text
        found = re.search(rf"^{re.escape(line)} (\S+)$", text, re.MULTILINE)
        return float(found.group(1)) if found else 0.0


@contextmanager
def serving(bundle: Path, settings: str) -> Iterator[Serve]:
    """Run `covidctnet serve` on free ports with settings as YAML text.

    Raises:
        SystemExit: it did not start, or did not end cleanly.
    """
    with tempfile.TemporaryDirectory(prefix="covidctnet-benchmark-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        (folder / "settings.yaml").write_text(settings, "utf-8")
        log = stack.enter_context((folder / "log").open("w"))
        flags = [
            f"--bundle={bundle}",
            "--port=0",
            "--grpc-port=0",
            "--no-auth",
            f"--settings={folder / 'settings.yaml'}",
        ]
        process = subprocess.Popen(
            [*_COMMAND, *flags], stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ | {"COLUMNS": "200"}
        )
        try:
            url = _wait_for_url(process)
            yield Serve(url=url, processes=_find_parts(process.pid))
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(_START_SECONDS)
            assert process.stdout is not None
            process.stdout.close()
        if code:
            raise SystemExit(f"covidctnet serve ended with status {code}: {(folder / 'log').read_text()[-2000:]}")


def _wait_for_url(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    guard = threading.Timer(_START_SECONDS, process.kill)
    guard.start()
    try:
        for line in process.stdout:
            if found := re.search(r"POST (http://\S+)/v1/studies", line):
                return found.group(1)
    finally:
        guard.cancel()
    raise SystemExit("covidctnet serve did not start")


def _find_parts(pid: int) -> dict[str, psutil.Process]:
    found = {}
    for child in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            words = child.cmdline()
            found |= {part: child for part in _PARTS if f"serving.{part}" in words}
    if set(found) != set(_PARTS):
        raise SystemExit(f"only {sorted(found)} of {_PARTS} run")
    return found


@dataclass
class MemoryWatch:
    """Resident memory of some processes, sampled while a block runs.

    Args:
        processes: by name.
        period_seconds: between samples.
    """

    processes: dict[str, psutil.Process]
    period_seconds: float = 0.5
    seconds: list[float] = field(default_factory=list)
    mebibytes: dict[str, list[float]] = field(default_factory=dict)

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Sample from the beginning of the block to its end."""
        began = time.monotonic()

        def sample() -> None:
            with contextlib.suppress(psutil.NoSuchProcess):
                values = {name: process.memory_info().rss / 2**20 for name, process in self.processes.items()}
                self.seconds.append(time.monotonic() - began)
                for name, value in values.items():
                    self.mebibytes.setdefault(name, []).append(value)

        with sampled(sample, self.period_seconds):
            yield
