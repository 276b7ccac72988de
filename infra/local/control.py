"""Start, stop and look at the stack of a folder, from any process."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from covidctnet.telemetry import SWITCHES
from infra.local.access import Access
from infra.local.keeper import KEEP
from infra.local.service import HOST, MARK, StackError, answers, listens
from infra.local.serving import require_free

_KEEPER = "infra.local.keeper"
_STOP_SECONDS = 150.0


@dataclass(frozen=True, kw_only=True)
class ServiceState:
    """What `status` shows of a service."""

    name: str
    state: str
    address: str
    log: Path


def start(folder: Path, port: int, on_service: Callable[[str], None]) -> None:
    """Start the services of a folder and leave them running.

    Args:
        folder: data, logs and credentials; a stack that was there before goes on with its data.
        port: of the serving pair, once there is a champion.
        on_service: told the name of each service as it answers.

    Raises:
        StackError: it is up already, or a service does not start; nothing is left running then.
    """
    folder = folder.resolve()
    if processes(folder):
        raise StackError("the stack of this folder is up, or was killed; see `covidctnet status`, or `covidctnet down`")
    require_free(port)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "serving.port").write_text(str(port))
    with (folder / "keeper.log").open("ab") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", _KEEPER, str(folder), str(port)],
            env={
                **os.environ,
                **SWITCHES,
                MARK: str(folder),
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                "PYTHONWARNINGS": "ignore",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )
    assert keeper.stdout is not None
    assert keeper.stdin is not None
    with keeper.stdout, keeper.stdin:
        for line in keeper.stdout:
            told = json.loads(line)
            if "service" in told:
                on_service(told["service"])
            if "error" in told:
                keeper.wait()
                raise StackError(told["error"])
            if "ready" in told:
                keeper.stdin.write(KEEP)
                keeper.stdin.flush()
                return
    keeper.wait()
    raise StackError(f"the stack did not start; the reason is in {folder.name}/keeper.log")


def stop(folder: Path) -> int:
    """Stop everything of a folder, in order where its keeper lives, and at once what that leaves.

    Returns:
        How many processes had to be ended at once.
    """
    folder = folder.resolve()
    asked = keepers(folder)
    for keeper in asked:
        with suppress(psutil.NoSuchProcess):
            keeper.send_signal(signal.SIGTERM)
    psutil.wait_procs(asked, _STOP_SECONDS)
    left = processes(folder)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, _STOP_SECONDS)
    return len(left)


def access_of(folder: Path) -> Access:
    """Ports and credentials of a stack that is up.

    Raises:
        StackError: it is down.
    """
    if not keepers(folder.resolve()):
        raise StackError("the stack of this folder is down; start it with `covidctnet up`")
    return Access.in_folder(folder.resolve())


def inspect(folder: Path) -> list[ServiceState]:
    """State of every service of a folder; empty where none was ever started there."""
    folder = folder.resolve()
    if not (folder / "access.json").is_file():
        return []
    access, port = Access.in_folder(folder), int((folder / "serving.port").read_text())
    http = f"http://{HOST}:{port}"
    checks: list[tuple[str, str, str, Callable[[], bool]]] = [
        ("PostgreSQL", f"{HOST}:{access.postgres_port}", "postgres.log", lambda: listens(access.postgres_port)),
        ("SeaweedFS", access.s3_uri, "seaweedfs.log", lambda: listens(access.s3_port)),
        ("MLflow", access.mlflow_uri, "mlflow.log", lambda: answers(f"{access.mlflow_uri}/health")),
        ("serving", http, "serving.log", lambda: _serves(running) and answers(f"{http}/v2/health/ready")),
    ]
    # A port alone proves nothing: another program may have it by now.
    running = processes(folder)
    alive = any(map(_is_keeper, running))
    return [
        ServiceState(name=name, state=_word(name, alive, check), address=address, log=folder / log)
        for name, address, log, check in checks
    ]


def _word(name: str, alive: bool, check: Callable[[], bool]) -> str:
    if not alive:
        return "down"
    if check():
        return "up"
    return "no champion yet" if name == "serving" else "does not answer"


def processes(folder: Path) -> list[psutil.Process]:
    """Everything that runs for a folder's stack, this process left out; found by the mark in its environment."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARK) == str(folder):
                found.append(process)
    return [process for process in found if process.status() != psutil.STATUS_ZOMBIE]


def keepers(folder: Path) -> list[psutil.Process]:
    """The process that keeps a folder's stack; none where it is down or was killed."""
    return [process for process in processes(folder) if _is_keeper(process)]


def _is_keeper(process: psutil.Process) -> bool:
    return _runs(process, _KEEPER)


def _serves(running: list[psutil.Process]) -> bool:
    return any(_runs(process, "serving.transformer") for process in running)


def _runs(process: psutil.Process, module: str) -> bool:
    with suppress(psutil.Error):
        return module in process.cmdline()
    return False
