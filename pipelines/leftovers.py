"""What a killed run leaves behind: step processes without a runner, and outputs that no finished step vouches for."""

import contextlib
import json
import os
import shutil
import signal
import time
from pathlib import Path

_MOST_SECONDS = 10.0


def end_leftovers(root: Path) -> int:
    """End the step processes of an earlier run in the same folder; returns how many there were.

    They are known by their command line, which names outputs in the folder.
    """
    found = [process for process in _processes() if _is_step_in(process, root)]
    for process in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    deadline = time.monotonic() + _MOST_SECONDS
    while any(_is_step_in(process, root) for process in found) and time.monotonic() < deadline:
        time.sleep(0.05)
    return len(found)


def _processes() -> list[int]:
    mine = os.getuid()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if entry.stat().st_uid == mine and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    return found


def _is_step_in(process: int, root: Path) -> bool:
    try:
        command = Path(f"/proc/{process}/cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        return False
    return "kfp.dsl.executor_main" in command and f'"{root}/' in command


def remove_unfinished(root: Path) -> None:
    """Remove the outputs of steps that never finished; those that the cache knows stay."""
    known = {path for entry in (root / ".kfp_cache").glob("*.json") for path in _outputs(entry)}
    for run in [path for path in root.glob("*") if path.is_dir() and not path.name.startswith(".")]:
        _prune(run, known)


def _outputs(entry: Path) -> list[Path]:
    try:
        values = json.loads(entry.read_text("utf-8"))
    except ValueError:
        return []
    found = []
    for value in values.values():
        artifacts = [value, *value.get("artifacts", [])] if isinstance(value, dict) else []
        found += [Path(artifact["uri"]) for artifact in artifacts if artifact.get("uri")]
    return found


def _prune(folder: Path, known: set[Path]) -> bool:
    """Remove what is not known below a folder, and the folder when nothing is left; says whether it went."""
    if folder in known:
        return False
    left = False
    for path in list(folder.iterdir()):
        if path in known or (path.is_dir() and not path.is_symlink() and not _prune(path, known)):
            left = True
        elif path.exists() or path.is_symlink():
            path.unlink()
    if not left:
        shutil.rmtree(folder)
    return not left
