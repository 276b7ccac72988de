"""Containers for tests: images that `infra/docker/build.sh` makes, run with nothing that they do not need."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENGINE = os.environ.get("ENGINE") or shutil.which("podman") or shutil.which("docker") or "podman"
TAG = "0.1.0"
USER = 10001
HARDENED = (
    "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", "/tmp:rw,mode=1777",
    "--memory", "4g", "--pids-limit", "1024",
)  # fmt: skip
"""What `restricted` asks of a pod. podman's own read-only root would add writable /run and /var/tmp."""


def build(target: str) -> str:
    """Build a target, at once where nothing changed; gives the image's name."""
    command = ["sh", str(ROOT / "infra" / "docker" / "build.sh"), target]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"TAG": TAG})
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    return f"covidctnet-{target}:{TAG}"


def hardened(*, network: str = "none") -> list[str]:
    """Flags of a container that may do next to nothing."""
    read_only_tmpfs = ["--read-only-tmpfs=false"] if Path(ENGINE).name == "podman" else []
    return [*HARDENED, *read_only_tmpfs, "--network", network]


def engine(*arguments: object, check: bool = True, timeout: float = 600.0) -> subprocess.CompletedProcess[str]:
    """Run the engine's command line."""
    result = subprocess.run(
        [ENGINE, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=timeout
    )
    assert not check or result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    return result


def run(
    image: str,
    command: Sequence[str],
    *,
    writable: Sequence[Path] = (),
    readable: Mapping[Path, str] | None = None,
    entrypoint: str = "",
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a command in a fresh container, with folders under their own path or, to be read, under another.

    `entrypoint` takes the place of the image's own.
    """
    mounts = [f"--volume={folder}:{folder}" for folder in writable]
    mounts += [f"--volume={folder}:{place}:ro" for folder, place in (readable or {}).items()]
    instead = [f"--entrypoint={entrypoint}"] if entrypoint else []
    return engine("run", "--rm", *hardened(), *mounts, *instead, image, *command, check=check)


def hand_over(folder: Path) -> None:
    """Let the containers' user write a folder that root made, as an `fsGroup` does on a cluster."""
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, USER, USER, follow_symlinks=False)


def make_readable(folder: Path) -> None:
    """Let every user read a folder."""
    for path in [folder, *folder.rglob("*")]:
        # A link may point to where the folder lies in the container.
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
