"""What this machine and this installation are: for `covidctnet doctor` and for lineage."""

import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

_PACKAGES = (
    "covidctnet", "numpy", "scipy", "pydicom", "imagecodecs", "SimpleITK", "keras", "tensorflow",
    "openvino", "scikit-learn", "matplotlib", "kfp",
)  # fmt: skip
_BACKENDS = ("tensorflow", "jax", "torch")
_DENOISERS = ("openvino", "tensorflow")


def describe_machine(*, probe_gpu: bool = False) -> dict[str, Any]:
    """Python, packages, backends of Keras and of the denoiser, cores, memory and GPUs.

    Args:
        probe_gpu: ask TensorFlow for GPUs, which takes seconds; otherwise only the driver is looked for.
    """
    total, available = _memory_bytes()
    return {
        "python": platform.python_version(),
        "code_version": code_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "backends": [name for name in _BACKENDS if importlib.util.find_spec(name) is not None],
        "denoiser_backends": [name for name in _DENOISERS if importlib.util.find_spec(name) is not None],
        "cores": usable_cores(),
        "memory_gib": {"total": round(total / 2**30, 1), "available": round(available / 2**30, 1)},
        "gpus": _gpus() if probe_gpu else [],
        "gpu_driver": shutil.which("nvidia-smi") is not None,
    }


def usable_cores() -> int:
    """Cores that this process may use: its affinity, and the quota of its control group."""
    cores = len(os.sched_getaffinity(0))
    quota = _read("/sys/fs/cgroup/cpu.max").split()
    if len(quota) == 2 and quota[0].isdigit():
        cores = min(cores, max(1, int(quota[0]) // int(quota[1])))
    return cores


def code_version() -> str:
    """The commit in a checkout, with `-dirty` for changed files; else release and hash of the sources."""
    root = Path(__file__).parents[1]
    if (root / ".git").exists() and shutil.which("git"):
        command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode == 0 and result.stdout.strip():
            return result.stdout.strip()
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return f"{_version('covidctnet') or 'unreleased'}+{digest.hexdigest()[:12]}"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _memory_bytes() -> tuple[int, int]:
    facts = dict(line.split(":", 1) for line in _read("/proc/meminfo").splitlines() if ":" in line)
    total, available = (int(facts.get(name, "0 kB").split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    limit, used = _read("/sys/fs/cgroup/memory.max").strip(), _read("/sys/fs/cgroup/memory.current").strip()
    if limit.isdigit() and used.isdigit():
        total, available = min(total, int(limit)), min(available, int(limit) - int(used))
    return total, available


def _gpus() -> list[str]:
    if importlib.util.find_spec("tensorflow") is None:
        return []
    import tensorflow as tf

    return [device.name for device in tf.config.list_physical_devices("GPU")]


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8")
    except OSError:
        return ""
