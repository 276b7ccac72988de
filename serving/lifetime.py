"""How a serving process learns that it should end: by a signal, or because the process that started it is gone."""

import os
import signal
import sys
import threading
from collections.abc import Callable

PARENT_PIPE = "COVIDCTNET_PARENT_PIPE"
"""Set by the supervisor: standard input is a pipe that closes when the supervisor ends, however it ends."""


def stop_with_parent() -> None:
    """Send this process SIGTERM once the supervisor is gone, so that no server is left behind."""
    if os.environ.get(PARENT_PIPE) != "1":
        return

    descriptor = sys.stdin.fileno()

    def wait() -> None:
        # Not through sys.stdin: the interpreter could not take back its lock at the end.
        while os.read(descriptor, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()


def on_stop(stop: Callable[[], None]) -> None:
    """Call `stop` at the first SIGTERM or SIGINT."""

    def handle(number: int, frame: object) -> None:
        stop()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


def announce(what: str, **ports: int) -> None:
    """Tell the supervisor, in one line on standard output, that this process listens and where."""
    words = " ".join(f"{name}={port}" for name, port in ports.items())
    sys.stdout.write(f"listening {what} {words}\n")
    sys.stdout.flush()
