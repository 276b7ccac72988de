"""Which cases of a reader study are shown, with their images: one a class, and those that somebody got wrong."""

from collections.abc import Mapping
from dataclasses import dataclass

from covidctnet.cohort import Case, Cohort
from covidctnet.labels import LABELS
from covidctnet.predictor import Predictor
from covidctnet.readers.answers import MODEL
from covidctnet.readers.compare import ReaderComparison
from covidctnet.readers.scores import NO_CLASS
from covidctnet.reading import read_volume
from covidctnet.report.data import CaseExample
from covidctnet.report.images import MOST_WRONG
from covidctnet.stages.preprocess_cohort import truth_on_slices


@dataclass(frozen=True, kw_only=True)
class ShownCases:
    """Cases with their images.

    Attributes:
        typical: one of each class, which most raters have right.
        wrong: those that the model or most readers have wrong, the hardest first; at most `MOST_WRONG`.
        notes: by case of `wrong`, who erred.
        wrong_count: how many there are, shown or not.
    """

    typical: tuple[CaseExample, ...]
    wrong: tuple[CaseExample, ...]
    notes: Mapping[str, str]
    wrong_count: int


def show_cases(found: ReaderComparison, predictor: Predictor, cohort: Cohort, cases: Mapping[str, Case]) -> ShownCases:
    """Choose the cases and examine them once more, for their images.

    Args:
        found: the comparison.
        predictor: that answered.
        cohort: where the zips are.
        cases: by name.
    """
    answered = [place for place, answer in enumerate(found.answers) if answer.outcome is not None]
    errors = {place: found.wrong_raters(place) for place in answered}
    hard = [place for place in answered if MODEL in errors[place] or 2 * len(errors[place]) > len(found.readers)]
    hard.sort(key=lambda place: (-len(errors[place]), found.answers[place].case))
    typical = [
        min(places, key=lambda place: (len(errors[place]), found.answers[place].case))
        for label in range(len(LABELS))
        if (places := [place for place in answered if found.answers[place].label == label])
    ]

    def examine(place: int) -> CaseExample:
        return _example(predictor, cohort, cases[found.answers[place].case])

    shown = hard[:MOST_WRONG]
    return ShownCases(
        typical=tuple(examine(place) for place in typical),
        wrong=tuple(examine(place) for place in shown),
        notes={found.answers[place].case: _note(found, place) for place in shown},
        wrong_count=len(hard),
    )


def _note(found: ReaderComparison, place: int) -> str:
    counts = [sum(reader.classes[place] == label for reader in found.readers) for label in range(len(LABELS))]
    said = ", ".join(f"{count} {name}" for name, count in zip(LABELS, counts, strict=True) if count)
    who = "simulated readers" if found.simulated else "readers"
    silent = "; the model named no class" if found.answers[place].answered == NO_CLASS else ""
    return f"{who}: {said}{silent}"


def _example(predictor: Predictor, cohort: Cohort, case: Case) -> CaseExample:
    config = predictor.bundle.config
    volume = read_volume(cohort.path(case.case), config.reader)
    examination = predictor.examine(volume)
    truth = truth_on_slices(cohort, case, volume, config) or {}
    probabilities = tuple(examination.answer.probabilities[name] for name in LABELS)
    return CaseExample(
        case=case.case,
        label=LABELS.index(case.label),
        probabilities=probabilities,  # type: ignore[arg-type]
        slices=examination.slices,
        denoised=examination.denoised,
        infection=truth.get("infection"),
        lung=truth.get("lung"),
        extent_mm=volume.extent_mm,
        where=examination.answer.burden.words,
    )
