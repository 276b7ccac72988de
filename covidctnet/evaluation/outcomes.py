"""One case, its label and what was answered for it."""

import math
from dataclasses import dataclass

from covidctnet.errors import CohortError
from covidctnet.labels import LABELS

_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class CaseOutcome:
    """The answer for one labelled case.

    Attributes:
        case: pseudonym of the case.
        patient: pseudonym of the patient; cases of one patient are resampled together.
        label: class index, as in `covidctnet.labels`.
        brand: the scanner's manufacturer in its short form, empty where the header holds none.
        scanner: brand and model.
        probabilities: by class index, each 0 to 1, with the sum 1.
        burden: share of lung volume that the residual marks.
        judged: False where the answer names no class, because the study is too unlike the training data.

    Raises:
        CohortError: the label is no class index, or the probabilities are none.
    """

    case: str
    patient: str
    label: int
    brand: str
    scanner: str
    probabilities: tuple[float, float, float]
    burden: float = 0.0
    judged: bool = True

    def __post_init__(self) -> None:
        if self.label not in range(len(LABELS)):
            raise CohortError(f"case {self.case}: a label is 0 to {len(LABELS) - 1}, not {self.label!r}")
        values = self.probabilities
        if len(values) != len(LABELS):
            raise CohortError(f"case {self.case}: expected {len(LABELS)} probabilities, not {len(values)}")
        if not all(math.isfinite(value) and -_SUM_TOLERANCE <= value <= 1 + _SUM_TOLERANCE for value in values):
            raise CohortError(f"case {self.case}: probabilities must lie between 0 and 1, not {values}")
        if abs(sum(values) - 1.0) > _SUM_TOLERANCE:
            raise CohortError(f"case {self.case}: probabilities must add up to 1, not to {sum(values):.6g}")
        object.__setattr__(self, "probabilities", tuple(min(max(float(p), 0.0), 1.0) for p in values))

    @property
    def predicted(self) -> int:
        """Index of the most probable class; the first one of equals, as in the Predictor."""
        return self.probabilities.index(max(self.probabilities))
