"""One service of the local stack: a process that is started, waited for and stopped, and that dies with its parent."""

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from covidctnet.errors import CovidCTNetError

HOST = "127.0.0.1"

MARK = "COVIDCTNET_STACK"
"""Names the stack's folder in the environment of its keeper, and so of all that runs for it."""


class StackError(CovidCTNetError):
    """A service of the local stack is not installed, or does not start."""


@dataclass(kw_only=True)
class Service:
    """A process with a health check.

    Attributes:
        name: for messages.
        command: program and arguments; secrets are in the environment or in files, since arguments are public.
        environment: added to the caller's.
        log: file for what it writes.
        healthy: whether it answers.
        stop_signal: asks it to end in order.
        user: runs as this user where the caller is root and it must not be.
        seconds: longest time to start or to stop, s.
    """

    name: str
    command: Sequence[str]
    log: Path
    healthy: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    user: str | None = None
    seconds: float = 120.0
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Start and wait until it answers; it ends with the thread that calls this, as Linux counts parents.

        Raises:
            StackError: it ended, or did not answer in time; with the last line of its log.
        """
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_bound_to_parent(self.user), *self.command],
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self.log.parent,
            )
        end = time.monotonic() + self.seconds
        while not self.healthy():
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                last = self.log.read_text("utf-8", "replace").strip().splitlines()[-1:]
                raise StackError(f"{self.name} does not answer; its log ends with: {''.join(last)}")
            time.sleep(0.1)

    def has_ended(self) -> bool:
        """Whether it was started and runs no more."""
        return self._process is not None and self._process.poll() is not None

    def stop(self) -> None:
        """Ask it to end, and end it and all that it started after some time."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(self.stop_signal)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(self.seconds / 4)
        self.kill()

    def kill(self) -> None:
        """End it and all that it started at once, as a crash does."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None


def _bound_to_parent(user: str | None) -> list[str]:
    """A prefix that ends the service when its parent is killed, and that drops root where needed."""
    command = ["setpriv", "--pdeathsig", "INT"]
    return [*command, f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else command


def find_program(name: str, *folders: str) -> str:
    """Path of a program.

    Raises:
        StackError: it is not installed.
    """
    path = shutil.which(name, path=os.pathsep.join([*folders, os.environ.get("PATH", "")]))
    if path is None:
        raise StackError(
            f"{name} is not installed; run infra/local/install-debian.sh and `make test`, which install it"
        )
    return path


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on, all different, below the range that connections take theirs from."""
    found: list[int] = []
    sockets = []
    while len(found) < count:
        probe = socket.socket()
        sockets.append(probe)
        probe.bind((HOST, 0))
        found.append(probe.getsockname()[1])
    for probe in sockets:
        probe.close()
    return found


def listens(port: int) -> bool:
    """Whether something accepts connections on a port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0


def answers(address: str) -> bool:
    """Whether an HTTP address of loopback answers with 200."""
    try:
        with urllib.request.urlopen(address, timeout=5.0) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
