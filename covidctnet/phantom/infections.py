"""Pneumonia in a phantom: the patterns that radiologists associate with Covid-19 and with CAP.

Covid-19 (`ground_glass`) and CAP (`consolidation`) overlap in extent, density and side: neither lung volume nor
mean density tells them apart by itself. Findings that are no pneumonia (`findings`) occur in all classes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from covidctnet.labels import CAP, CONTROL, COVID
from covidctnet.phantom.anatomy import Chest
from covidctnet.phantom.consolidation import draw_consolidations
from covidctnet.phantom.findings import draw_findings
from covidctnet.phantom.grid import Field, Grid
from covidctnet.phantom.ground_glass import draw_ground_glass
from covidctnet.phantom.lesions import Canvas
from covidctnet.volume import BoolArray

_DRAW: dict[int, Callable[[Canvas, np.random.Generator], None]] = {
    COVID: draw_ground_glass,
    CAP: draw_consolidations,
}

_EFFUSION = {CONTROL: 0.08, COVID: 0.08, CAP: 0.4}
"""How often a pleural effusion goes with a class; without pneumonia it stands for heart failure."""


@dataclass(frozen=True, kw_only=True)
class Disease:
    """A chest after disease.

    Attributes:
        hu: axes (z, y, x).
        lung: the lungs, smaller than before where an effusion took their place.
        infection: pneumonia, a part of the lungs; empty for Control.
        finding: nodules, scars, emphysema and effusions; never counted as infection.
    """

    hu: Field
    lung: BoolArray
    infection: BoolArray
    finding: BoolArray


def infect(chest: Chest, grid: Grid, label: int, rng: np.random.Generator) -> Disease:
    """Add the infection of a class and, as often in every class, findings that are none."""
    canvas = Canvas.of(chest, grid)
    if label in _DRAW:
        _DRAW[label](canvas, rng)
    draw_findings(canvas, rng, effusion=_EFFUSION[label])
    lung = chest.lung & ~canvas.effusion
    infection = canvas.infection & lung
    return Disease(hu=canvas.hu, lung=lung, infection=infection, finding=canvas.finding & ~infection)
