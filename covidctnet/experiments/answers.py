"""What a trained fold answered, on disk between the steps."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from covidctnet.evaluation.calibration import apply_temperature
from covidctnet.evaluation.outcomes import CaseOutcome
from covidctnet.files import read_json, write_json
from covidctnet.stages.prepared import PreparedCase
from covidctnet.training.history import History

_FILE = "answers.json"

Probabilities = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class FoldAnswers:
    """The answers of one network.

    Attributes:
        arm: what was varied, in words.
        seed: of split and training.
        fold: its name.
        temperature, threshold: fitted on the fold's validation patients.
        trained: cases that it was trained on, for the correction of intervals over seeds.
        parameters: of the network.
        history: losses and accuracies by epoch.
        validation, test: answers before calibration.
    """

    arm: str
    seed: int
    fold: str
    temperature: float
    threshold: float
    trained: int
    parameters: int
    history: History
    validation: tuple[CaseOutcome, ...]
    test: tuple[CaseOutcome, ...]

    def calibrated(self) -> list[CaseOutcome]:
        """The test patients' answers with the fold's temperature."""
        raw = [outcome.probabilities for outcome in self.test]
        return [
            _with(outcome, values)
            for outcome, values in zip(self.test, apply_temperature(raw, self.temperature), strict=True)
        ]


def make_outcomes(cases: Sequence[PreparedCase], probabilities: ArrayLike) -> tuple[CaseOutcome, ...]:
    """Answers of a network, in the order of the cases; probabilities have the shape (case, 3)."""
    return tuple(
        CaseOutcome(
            case=case.case.case,
            patient=case.case.patient,
            label=case.label,
            brand=case.scanner.brand,
            scanner=str(case.scanner),
            probabilities=_three(row),
        )
        for case, row in zip(cases, np.asarray(probabilities, np.float64), strict=True)
    )


def _with(outcome: CaseOutcome, probabilities: ArrayLike) -> CaseOutcome:
    return CaseOutcome(**{**asdict(outcome), "probabilities": _three(probabilities)})


def _three(values: ArrayLike) -> Probabilities:
    first, second, third = (float(value) for value in np.asarray(values))
    return first, second, third


def save_answers(folder: Path, answers: Sequence[FoldAnswers]) -> None:
    """Write the answers of one step, one entry an arm."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / _FILE, [asdict(entry) for entry in answers])


def load_answers(folders: Iterable[Path]) -> list[FoldAnswers]:
    """Read the answers of several steps, in their order."""
    return [_parse(entry) for folder in folders for entry in read_json(folder / _FILE)]


def _parse(values: dict[str, Any]) -> FoldAnswers:
    outcomes = {
        part: tuple(CaseOutcome(**{**row, "probabilities": tuple(row["probabilities"])}) for row in values[part])
        for part in ("validation", "test")
    }
    return FoldAnswers(**{**values, **outcomes})
