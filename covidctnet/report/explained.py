"""One study with its answer and the images that led to it: what every drawing of it is made from."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covidctnet.burden import mark_lungs
from covidctnet.config import Config
from covidctnet.lungs import LungLabels
from covidctnet.predictor import Examination
from covidctnet.report.anatomy import strongest_slice
from covidctnet.volume import BoolArray, Volume

ANSWER_FIELD = "answer"
"""Under this name every report carries the answer as JSON: a machine need not read the picture."""


@dataclass(frozen=True, kw_only=True)
class ExplainedStudy:
    """A study to draw.

    Attributes:
        volume: as it was read.
        examination: the answer and its images.
        document: the answer as plain values, as its reader gets it.
        config: of the bundle that answered.
    """

    volume: Volume
    examination: Examination
    document: Mapping[str, Any]
    config: Config

    @cached_property
    def lungs(self) -> LungLabels:
        """The lungs as the burden measured them, on the grid of the slices."""
        return self._marks[0]

    @cached_property
    def marked(self) -> BoolArray:
        """What the burden counts, on the grid of the slices."""
        return self._marks[1]

    @cached_property
    def key_slice(self) -> int:
        """The slice with the largest marked area; without one, that of the strongest residual in the lungs."""
        areas = self.marked.sum(axis=(1, 2))
        return int(areas.argmax()) if areas.any() else strongest_slice(self.examination.residual, self.lungs > 0)

    @property
    def lung_slices(self) -> NDArray[np.int64]:
        """Indices of the slices that hold lung; of all where none was found."""
        found = np.flatnonzero(self.lungs.any(axis=(1, 2)))
        return found if len(found) else np.arange(len(self.lungs))

    @property
    def aspect(self) -> float:
        """Height of a pixel of the slices in units of its width."""
        _, height, width = self.volume.extent_mm
        _, rows, columns = self.examination.slices.shape
        return float((height / rows) / (width / columns))

    def original_slice(self, index: int) -> int:
        """The slice of the original series, from 1 at the feet, that lies at a slice of the preprocessed grid."""
        count = len(self.volume.hu)
        return min(int((index + 0.5) * count / len(self.examination.slices)), count - 1) + 1

    @cached_property
    def _marks(self) -> tuple[LungLabels, BoolArray]:
        examination = self.examination
        return mark_lungs(
            self.volume, examination.slices, examination.residual, self.config.preprocess, self.config.burden
        )
