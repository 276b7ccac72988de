"""What a command needs: seconds, memory of all its processes together, and the disk that its folder takes.

`python -m benchmarks.run_cost --folder runs/cost -- covidctnet demo --output runs/cost` runs the command and prints a
table in Markdown; `--page FILE` puts it between the comments `run-cost: begin` and `run-cost: end` of that page. Memory
is the proportional set size, in which pages that processes share count once.
"""

import argparse
import contextlib
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.command import describe
from benchmarks.sampling import sampled
from benchmarks.table import put_into_page

_PERIOD_SECONDS = 1.0


def measure(command: Sequence[str], folder: Path) -> dict[str, Any]:
    """Run a command to its end; all figures.

    Args:
        command: program and arguments.
        folder: what it writes.

    Raises:
        SystemExit: the command failed.
    """
    began, taken = time.monotonic(), [0]
    process = subprocess.Popen(command)
    with sampled(lambda: taken.append(memory_of_all(process.pid)), _PERIOD_SECONDS):
        code = process.wait()
    if code:
        raise SystemExit(f"{command[0]} ended with status {code}")
    return {
        "seconds": time.monotonic() - began,
        "peak_bytes": max(taken),
        "disk_bytes": {entry.name: size_on_disk(entry) for entry in sorted(folder.iterdir())},
        "machine": describe(),
    }


def memory_of_all(pid: int) -> int:
    """Bytes that a process and all that descend from it hold now."""
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += process.memory_full_info().pss
    return total


def size_on_disk(path: Path) -> int:
    """Bytes of the blocks that a file, or all files of a folder, take; a file with two names counts once."""
    files = [path, *path.rglob("*")] if path.is_dir() else [path]
    blocks = {(found.st_dev, found.st_ino): found.st_blocks for found in (file.lstat() for file in files)}
    return 512 * sum(blocks.values())


def to_markdown(figures: Mapping[str, Any]) -> str:
    """The table."""
    disk = sorted(figures["disk_bytes"].items(), key=lambda item: -item[1])
    largest = ", ".join(f"`{name}` {size / 1e6:.0f}" for name, size in disk[:4])
    machine = figures["machine"]
    return "\n".join(
        [
            "| what | how much |",
            "|---|---:|",
            f"| seconds | {figures['seconds']:.0f} |",
            f"| memory, all processes together, at most | {figures['peak_bytes'] / 1e9:.1f} GB |",
            f"| disk | {sum(figures['disk_bytes'].values()) / 1e6:.0f} MB ({largest}) |",
            "",
            f"On {machine['cores']} cores. Code {machine['code_version']}.",
        ]
    )


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="what the command writes")
    parser.add_argument("--page", type=Path, help="put the table into this page")
    parser.add_argument("command", nargs="+", help="after --")
    arguments = parser.parse_args()
    text = to_markdown(measure(arguments.command, arguments.folder))
    print(text)
    if arguments.page:
        put_into_page(arguments.page, "run-cost", text)


if __name__ == "__main__":
    main()
