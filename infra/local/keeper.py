"""The process behind `covidctnet up`: it keeps the services of a folder running, and ends with all of them.

```
python -m infra.local.keeper FOLDER SERVING_PORT
```

Its caller reads one JSON object a line: each service as it answers, then `ready`. Until the caller has written `keep`,
the stack ends with the caller; a command that is killed half way leaves nothing behind.
"""

import fcntl
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from covidctnet.errors import CovidCTNetError
from infra.local.service import Service, StackError
from infra.local.serving import make_serving, registered_champion, require_free
from infra.local.stack import LocalStack

_LOG = logging.getLogger(__name__)
_LOOK_SECONDS = 1.0
_CHAMPION_SECONDS = 10.0
KEEP = b"keep\n"


class _StopError(Exception):
    """A signal came, or the caller is gone."""


def main(arguments: list[str]) -> int:
    """Start everything, tell the caller, and watch until a signal comes."""
    folder, port = Path(arguments[0]), int(arguments[1])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    kept = threading.Event()
    threading.Thread(target=_end_with_caller, args=(kept,), daemon=True).start()
    try:
        with _only_keeper(folder), ExitStack() as serving, LocalStack(folder, on_start=_tell_service) as stack:
            _Watch(stack, port, serving).run(kept)
    except _StopError:
        _LOG.info("stopped")
        return 0
    except CovidCTNetError as error:
        _LOG.info("%s", error)
        _tell({"error": str(error)})
        return 3
    return 0


class _Watch:
    """Starts the serving pair once there is a champion, and ends where a service has ended by itself."""

    def __init__(self, stack: LocalStack, port: int, serving: ExitStack) -> None:
        self._stack, self._port, self._serving = stack, port, serving
        self._pair: Service | None = None

    def run(self, kept: threading.Event) -> None:
        self._serve_champion()
        _tell({"ready": True})
        kept.wait(60.0)
        # The caller's pipe is closed by now.
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        looked = time.monotonic()
        while True:
            time.sleep(_LOOK_SECONDS)
            for service in (*self._stack.services, *filter(None, [self._pair])):
                if service.has_ended():
                    raise StackError(f"{service.name} ended by itself; its log is {service.log.name}")
            if self._pair is None and time.monotonic() - looked > _CHAMPION_SECONDS:
                looked = time.monotonic()
                self._serve_champion()

    def _serve_champion(self) -> None:
        champion = registered_champion(self._stack.access)
        if champion is None:
            return
        require_free(self._port)
        service = make_serving(self._stack.folder, self._stack.access, champion, self._port)
        self._serving.callback(service.stop)
        service.start()
        self._pair = service
        _LOG.info("serving version %s", champion)
        _tell_service(service)


def _stop(number: int, frame: object) -> None:
    # Once: what follows is the stop itself.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise _StopError


def _end_with_caller(kept: threading.Event) -> None:
    if os.read(sys.stdin.fileno(), len(KEEP)) == KEEP:
        kept.set()
    else:
        os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _only_keeper(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "keeper.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StackError("the stack of this folder is up already; see `covidctnet status`") from None
        yield


def _tell_service(service: Service) -> None:
    _LOG.info("%s answers", service.name)
    _tell({"service": service.name, "log": str(service.log)})


def _tell(what: dict[str, Any]) -> None:
    with suppress(OSError):
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
