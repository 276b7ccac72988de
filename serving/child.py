"""A serving process as the supervisor holds it: started, listened to, stopped."""

import contextlib
import os
import subprocess
import sys
import threading
import time

from covidctnet.errors import CovidCTNetError
from serving.lifetime import PARENT_PIPE

_START_SECONDS = 180.0
_STOP_MARGIN_SECONDS = 10.0


class ServingStoppedError(CovidCTNetError):
    """A serving process ended by itself."""


class Child:
    """A serving process, its logs passed on to standard error as they come.

    Args:
        command: what to run.
    """

    def __init__(self, command: list[str]) -> None:
        # A session of its own: Ctrl-C reaches the supervisor alone, which stops both in order.
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
            env=os.environ | {PARENT_PIPE: "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self._ports: dict[str, int] = {}
        self._listening = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def listen(self, stop: threading.Event) -> dict[str, int]:
        """Wait until it listens; its ports by name. Empty after a stop.

        Raises:
            ServingStoppedError: it ended, or needs too long.
        """
        deadline = time.monotonic() + _START_SECONDS
        while not self._listening.wait(0.1):
            if stop.is_set():
                return {"http": 0, "grpc": 0}
            if self.process.poll() is not None:
                raise ServingStoppedError(f"a serving process ended while it started (status {self.process.poll()})")
            if time.monotonic() > deadline:
                raise ServingStoppedError(f"a serving process did not start within {_START_SECONDS:.0f} s")
        return self._ports

    def stop(self, seconds: float) -> None:
        """Ask it to end, wait for its requests in flight, and end it when they take too long."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds + _STOP_MARGIN_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(ValueError):
            for line in self.process.stdout:
                if line.startswith("listening "):
                    pairs = (word.partition("=") for word in line.split()[2:])
                    self._ports = {name: int(value) for name, _, value in pairs}
                    self._listening.set()
