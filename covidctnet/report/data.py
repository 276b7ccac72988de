"""What a report is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covidctnet.errors import GeometryError
from covidctnet.evaluation.baselines import Baselines
from covidctnet.evaluation.metrics import Metrics
from covidctnet.evaluation.outcomes import CaseOutcome
from covidctnet.evaluation.residual_contrast import ResidualContrast
from covidctnet.volume import BoolArray, UnitArray


@dataclass(frozen=True, kw_only=True)
class CaseExample:
    """One case with its images.

    Attributes:
        case: pseudonym.
        label: class index.
        probabilities: as answered, by class index.
        slices: preprocessed slices, axes (z, y, x), 0 to 1.
        denoised: what the denoiser made of them.
        infection: true infection on the same grid, None where unknown.
        lung: lungs on the same grid, None where unknown; they are then found by their density.
        extent_mm: size of the box along (z, y, x) in mm, None where unknown.
        where: how much of the lung is marked and where, in words; empty where unknown.
    """

    case: str
    label: int
    probabilities: tuple[float, float, float]
    slices: UnitArray
    denoised: UnitArray
    infection: BoolArray | None = None
    lung: BoolArray | None = None
    extent_mm: tuple[float, float, float] | None = None
    where: str = ""

    def __post_init__(self) -> None:
        if self.slices.ndim != 3 or 0 in self.slices.shape:
            raise GeometryError(f"case {self.case}: expected slices (z, y, x), not shape {self.slices.shape}")
        for name, array in (("denoised", self.denoised), ("infection", self.infection), ("lung", self.lung)):
            if array is not None and array.shape != self.slices.shape:
                raise GeometryError(
                    f"case {self.case}: {name} has shape {array.shape}, the slices have {self.slices.shape}"
                )

    @property
    def residual(self) -> NDArray[np.float32]:
        """Input minus denoised, axes (z, y, x)."""
        return np.asarray(self.slices - self.denoised, np.float32)

    @property
    def predicted(self) -> int:
        """Index of the most probable class."""
        return int(np.argmax(self.probabilities))


@dataclass(frozen=True, kw_only=True)
class CohortCount:
    """How many patients and cases of one label, scanner and split there are."""

    label: str
    scanner: str
    split: str
    patients: int
    cases: int


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """Everything that one report shows.

    Attributes:
        title: of the page.
        profile: name of the configuration.
        config: the whole configuration as plain values.
        seed: of the experiment.
        data_version, code_version, pair_id: what was trained on what, and which bundle came out.
        seconds: by stage, in the order in which the stages ran.
        cohort_table: counts by label, scanner and split (`denoiser`, `train`, `validation`, `holdout`).
        metrics: of the hold-out.
        baselines: always shown.
        contrast: by method, empty where no truth is known.
        histories: by network, values by epoch and by name (`loss`, `val_loss`, ...).
        outcomes: of the hold-out, one a case.
        examples: the first one of each class is shown.
        wrong: cases with a wrong answer whose images were kept.
        notes: sentences that stand at the top.
    """

    title: str
    profile: str
    config: Mapping[str, Any]
    seed: int
    data_version: str
    code_version: str
    pair_id: str
    seconds: Mapping[str, float]
    cohort_table: Sequence[CohortCount]
    metrics: Metrics
    baselines: Baselines
    contrast: Sequence[ResidualContrast]
    histories: Mapping[str, Mapping[str, Sequence[float]]]
    outcomes: Sequence[CaseOutcome]
    examples: Sequence[CaseExample] = ()
    wrong: Sequence[CaseExample] = ()
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def one_a_class(self) -> list[CaseExample]:
        """The first example of each class, in the classes' order."""
        first: dict[int, CaseExample] = {}
        for example in self.examples:
            first.setdefault(example.label, example)
        return [first[label] for label in sorted(first)]
