"""Phantom patients before any scanner images them."""

from functools import lru_cache

import numpy as np

from covidctnet.phantom.anatomy import Anatomy, Chest, build_chest
from covidctnet.phantom.grid import Grid


class Patient:
    """A chest on a coarse grid, and the generator that goes on drawing."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.grid = Grid(slices=40, matrix=96, slice_spacing_mm=8.0, pixel_spacing_mm=4.0, bottom_mm=-20.0)
        self.chest: Chest = build_chest(self.grid, Anatomy.draw(self.rng), self.rng)


@lru_cache
def healthy() -> tuple[Patient, ...]:
    """The same few patients for every test; what is drawn must go into a copy."""
    return tuple(Patient(seed) for seed in range(6))
