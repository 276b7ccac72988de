"""Put a result together: what all experiments say about themselves, their figures and their records."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure as Drawing

from covidctnet.cohort import Case, Cohort
from covidctnet.config import Config
from covidctnet.evaluation.bootstrap import Estimate
from covidctnet.experiments.answers import FoldAnswers
from covidctnet.experiments.results import (
    ExperimentName,
    ExperimentResult,
    Figure,
    Statement,
    Table,
    write_result,
)
from covidctnet.labels import COVID, LABELS

_ANSWER_COLUMNS = (
    "arm", "seed", "fold", "case", "patient", "label", "brand",
    *LABELS, "answer", "covid_threshold", "covid_positive",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class About:
    """What every result says of its run.

    Attributes:
        experiment: its name.
        config: of the run.
        seeds: of the repetitions.
        data_version, code_version: what was run on and with.
        cases: by class, how many the experiment is about, without the denoiser's Controls.
        real_patients: how many of the patients are no phantoms.
        simulated: whether any case is a phantom.
    """

    experiment: ExperimentName
    config: Config
    seeds: tuple[int, ...]
    data_version: str
    code_version: str
    cases: dict[str, int]
    real_patients: int
    simulated: bool

    def cautions(self) -> list[Statement]:
        """What must be read before any number."""
        real, found = self.real_patients, []
        if self.simulated:
            text = "Phantoms, not patients: these numbers show that the method runs and how it behaves on drawn lungs."
            found.append(Statement(f"{text} They say nothing of accuracy in patients.", "warning"))
        if 0 < real < 30:
            found.append(Statement(f"{real} real patients prove nothing about accuracy.", "warning"))
        return found


class ResultFolder:
    """Collects figures and records of a result, and writes it.

    Args:
        folder: of the result.
        about: the run.
    """

    def __init__(self, folder: Path, about: About) -> None:
        self.folder, self.about = folder, about
        self.figures: list[Figure] = []
        self.records: dict[str, str] = {}
        (folder / "figures").mkdir(parents=True, exist_ok=True)

    def draw(self, name: str, title: str, drawing: Drawing, caption: str) -> None:
        """Keep a figure as `figures/<name>.png`."""
        file = f"figures/{name}.png"
        # No software field: the same data gives the same bytes.
        drawing.savefig(self.folder / file, metadata={"Software": None})
        self.figures.append(Figure(name, title, file, caption))

    def record(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Keep a table of many rows as `<name>.csv`."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
        partial = self.folder / f"{name}.csv.partial"
        partial.write_text(text.getvalue(), "utf-8")
        os.replace(partial, self.folder / f"{name}.csv")
        self.records[name] = f"{name}.csv"

    def record_answers(self, answers: Sequence[FoldAnswers]) -> None:
        """Keep every calibrated answer, one row a case, arm, seed and fold; pseudonyms only."""
        rows = [
            [
                *(entry.arm, entry.seed, entry.fold, outcome.case, outcome.patient),
                *(LABELS[outcome.label], outcome.brand),
                *(round(value, 6) for value in outcome.probabilities),
                *(LABELS[outcome.predicted], round(entry.threshold, 6)),
                int(outcome.probabilities[COVID] >= entry.threshold),
            ]
            for entry in answers
            for outcome in entry.calibrated()
        ]
        self.record("answers", _ANSWER_COLUMNS, rows)

    def close(
        self, title: str, question: str, statements: Sequence[Statement], tables: Sequence[Table]
    ) -> ExperimentResult:
        """Write the result; its seconds are those of the run, which sets them when it ends."""
        about = self.about
        result = ExperimentResult(
            experiment=about.experiment,
            title=title,
            question=question,
            profile=about.config.name,
            seeds=about.seeds,
            data_version=about.data_version,
            code_version=about.code_version,
            cases=about.cases,
            simulated=about.simulated,
            statements=(*statements, *about.cautions()),
            tables=tuple(tables),
            figures=tuple(self.figures),
            seconds=0.0,
            records=self.records,
        )
        write_result(self.folder, result)
        return result


def describe_cases(cohort: Cohort, cases: Sequence[Case]) -> dict[str, Any]:
    """Fields of `About` that tell of the cases; a phantom is known by the truth beside it."""
    labels = [case.label for case in cases]
    phantoms = {case.patient for case in cases if cohort.truth_path(case.case).is_file()}
    return {
        "cases": {label: labels.count(label) for label in LABELS},
        "real_patients": len({case.patient for case in cases} - phantoms),
        "simulated": bool(phantoms),
    }


def rounded(value: float | None, digits: int = 3) -> float | None:
    """A cell's value, as many digits as it is worth."""
    return None if value is None else round(value, digits)


def percent_text(confidence: float) -> str:
    """A confidence as in "95 %"."""
    return f"{100 * confidence:g} %"


def interval_text(low: float | None, high: float | None) -> str:
    """Both bounds, or words where there are none."""
    return "not computable" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def estimate_cells(estimate: Estimate) -> tuple[float | None, float | None, float | None]:
    """Value and bounds as three cells."""
    return rounded(estimate.value), rounded(estimate.low), rounded(estimate.high)


def by_arm(answers: Sequence[FoldAnswers]) -> Mapping[str, list[FoldAnswers]]:
    """Answers by arm, those of each in the order of seed and fold."""
    arms: dict[str, list[FoldAnswers]] = {}
    for entry in answers:
        arms.setdefault(entry.arm, []).append(entry)
    return {arm: sorted(entries, key=lambda entry: (entry.seed, _natural(entry.fold))) for arm, entries in arms.items()}


def _natural(fold: str) -> tuple[str, int, str]:
    kind, _, rest = fold.partition(" ")
    first = rest.partition(" ")[0]
    return kind, int(first) if first.isdigit() else 0, rest
