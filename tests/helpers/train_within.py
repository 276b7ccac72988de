"""Train on arrays that are larger than the memory allowed; prints the peak of anonymous memory in MB.

Usage: python -m tests.helpers.train_within FOLDER SLICES LIMIT_MB
"""

import resource
import sys
from pathlib import Path

import numpy as np

from covidctnet.training.denoiser import train_denoiser
from covidctnet.training.slices import MaskedSlices
from tests.covidctnet.training.test_train_denoiser import config, healthy


def sparse(path: Path, shape: tuple[int, ...], dtype: type, like: np.ndarray) -> np.ndarray:
    """A file of that size on paper, of which only the slices `like` take room on disk."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    array[:: len(array) // len(like)][: len(like)] = like
    array.flush()
    return np.load(path, mmap_mode="r")


def main(folder: Path, count: int, limit_mb: int) -> None:
    """Train for an epoch of a few slices out of all."""
    few, masks = healthy(16).take(range(16))
    data = MaskedSlices(
        [sparse(folder / "slices.npy", (count, 32, 32), np.float32, few)],
        [sparse(folder / "lungs.npy", (count, 32, 32), bool, masks)],
    )
    # The data segment holds what is allocated; files that are only mapped do not count.
    resource.setrlimit(resource.RLIMIT_DATA, (limit_mb << 20, limit_mb << 20))
    train_denoiser(data, healthy(8, 1), config(epochs=1, slices_per_epoch=64))
    status = Path("/proc/self/status").read_text()
    sys.stdout.write(next(line.split()[1] for line in status.splitlines() if line.startswith("RssAnon")) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
