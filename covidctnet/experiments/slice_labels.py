"""Which slices of a scan show infection, as a reader marked them: one CSV for all cases."""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from covidctnet.errors import ExperimentError
from covidctnet.volume import Volume

COLUMNS = ("case", "slice_position_mm", "infected")
"""Case as in `cohort.csv`; position along z in the DICOM patient system; 1 or 0."""

UNKNOWN, CLEAR, INFECTED = -1, 0, 1


@dataclass(frozen=True, kw_only=True)
class SliceLabels:
    """Marks by case: positions in mm, rising, and whether the slice there is infected."""

    marks: Mapping[str, tuple[tuple[float, bool], ...]]

    @classmethod
    def load(cls, path: Path) -> "SliceLabels":
        """Read the CSV.

        Raises:
            ExperimentError: the file, a column or a value is not what it must be, or a slice has two marks.
        """
        if not path.is_file():
            raise ExperimentError(f"there is no {path.name}; give a CSV with the columns {', '.join(COLUMNS)}")
        found: dict[str, dict[float, bool]] = defaultdict(dict)
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if tuple(rows.fieldnames or ()) != COLUMNS:
                raise ExperimentError(f"{path.name} must have the columns {', '.join(COLUMNS)}, not {rows.fieldnames}")
            for number, row in enumerate(rows, 2):
                case, position, infected = (str(row[name] or "").strip() for name in COLUMNS)
                place = _number(position, f"line {number} of {path.name}")
                if infected not in {"0", "1"}:
                    raise ExperimentError(f"line {number} of {path.name}: infected is 0 or 1, not {infected!r}")
                if found[case].setdefault(place, infected == "1") != (infected == "1"):
                    raise ExperimentError(f"line {number} of {path.name}: the slice at {place} mm has two marks")
        if not found:
            raise ExperimentError(f"{path.name} marks no slice")
        return cls(marks={case: tuple(sorted(marks.items())) for case, marks in found.items()})

    def require_cases(self, cases: Sequence[str]) -> None:
        """Refuse marks of cases that the cohort does not have.

        Raises:
            ExperimentError: names the first.
        """
        unknown = sorted(set(self.marks) - set(cases))
        if unknown:
            raise ExperimentError(f"the slice labels name case {unknown[0]!r}, which is not among the cases")

    def on_slices(self, case: str, volume: Volume, count: int) -> NDArray[np.int64]:
        """Marks on the grid of preprocessed slices.

        Args:
            case: whose marks.
            volume: as it was read; its extent along z is that of the slices.
            count: preprocessed slices.

        Returns:
            `INFECTED`, `CLEAR` or `UNKNOWN` for each slice, from feet to head. A slice counts as infected where any
            mark within its reach is.

        Raises:
            ExperimentError: marks lie outside of the scan.
        """
        marked = np.full(count, UNKNOWN)
        marks = self.marks.get(case, ())
        if not marks:
            return marked
        positions = slice_positions(volume, count)
        step = volume.extent_mm[0] / count
        reach = max(step, volume.spacing_mm[0]) / 2.0
        low, high = float(positions[0]) - step / 2 - reach, float(positions[-1]) + step / 2 + reach
        for place, infected in marks:
            if not low <= place <= high:
                raise ExperimentError(
                    f"case {case}: a mark at {place:g} mm lies outside of the scan, which reaches from "
                    f"{positions[0]:.1f} to {positions[-1]:.1f} mm; give ImagePositionPatient's z"
                )
            near = np.abs(positions - place) <= reach + 1e-6
            marked[near] = np.maximum(marked[near], INFECTED if infected else CLEAR)
        return marked


def slice_positions(volume: Volume, count: int) -> NDArray[np.float64]:
    """Centres in mm of so many equal slices over a volume's extent, z of the DICOM patient system, rising."""
    step = volume.extent_mm[0] / count
    start = volume.position_mm((0, 0, 0))[2] - volume.spacing_mm[0] / 2.0
    return np.asarray(start + (np.arange(count) + 0.5) * step)


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise ExperimentError(f"{where}: slice_position_mm must be a number of mm, not {text!r}")
    return value
