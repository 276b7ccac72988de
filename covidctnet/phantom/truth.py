"""The truth beside a phantom: masks of the lungs and of the infection on the grid of its series."""

import os
from pathlib import Path

import numpy as np

from covidctnet.volume import BoolArray


def save_truth(path: Path, **masks: BoolArray) -> None:
    """Write masks with axes (z, y, x), one bit a voxel; the file is complete or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    arrays = {name: np.packbits(mask) for name, mask in masks.items()}
    shape = np.array(next(iter(masks.values())).shape)
    np.savez_compressed(partial, allow_pickle=False, shape=shape, **arrays)
    os.replace(partial, path)


def load_truth(path: Path) -> dict[str, BoolArray]:
    """Read masks that `save_truth` wrote, by name, axes (z, y, x)."""
    with np.load(path) as file:
        shape = tuple(int(n) for n in file["shape"])
        count = int(np.prod(shape))
        return {
            name: np.unpackbits(file[name], count=count).astype(bool).reshape(shape)
            for name in file.files
            if name != "shape"
        }
