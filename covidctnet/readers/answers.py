"""What the model answers for the cases of a reader study, through the Predictor that serving uses.

Each answer is kept as soon as it is there, under the bundle, the hash of the images and the version of the code: a run
that was killed goes on, and whatever could change an answer has it answered anew.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covidctnet.bundle import patient_key
from covidctnet.cohort import Case, Cohort
from covidctnet.errors import CohortError, StudyError
from covidctnet.evaluation.outcomes import CaseOutcome
from covidctnet.files import read_json, write_json
from covidctnet.labels import COVID, label_index
from covidctnet.machine import code_version
from covidctnet.predictor import NOT_JUDGED, Predictor
from covidctnet.progress import Progress, silent
from covidctnet.readers.scores import NO_CLASS, RaterAnswers
from covidctnet.reading import read_volume

MODEL = "model"


@dataclass(frozen=True, kw_only=True)
class ModelAnswer:
    """The model's answer for one case.

    Attributes:
        case: name.
        label: class index of the truth.
        outcome: the answer; None where the study was refused.
        covid_positive: the Covid-19 decision; None where no class is named.
        refused: why the study was refused; empty where it was answered.
    """

    case: str
    label: int
    outcome: CaseOutcome | None
    covid_positive: bool | None
    refused: str = ""

    @property
    def answered(self) -> int:
        """Class index, or `NO_CLASS` where none is named."""
        return self.outcome.predicted if self.outcome is not None and self.outcome.judged else NO_CLASS


def reader_cases(cohort: Cohort, names: Sequence[str], trained_on: Sequence[str]) -> list[Case]:
    """The cases of a reader study, checked: known, unchanged, one a patient, and none that trained the bundle.

    Args:
        cohort: holds them.
        names: of the cases that the readers answered.
        trained_on: the bundle's `Reference.trained_on`.

    Raises:
        CohortError: a case is unknown or changed, a patient has two, or a patient trained the bundle.
    """
    known = {case.case: case for case in cohort.cases}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise CohortError(f"{len(unknown)} of {len(names)} cases are not in the cohort, {unknown[0]} first")
    cases = [known[name] for name in names]
    twice = [patient for patient, count in Counter(case.patient for case in cases).items() if count > 1]
    if twice:
        raise CohortError(
            f"{len(twice)} patients have several cases, {twice[0]} first; exact intervals and McNemar's test need "
            "independent cases, so keep one case a patient"
        )
    shaped = set(trained_on)
    seen = [case for case in cases if patient_key(case.patient) in shaped]
    if seen:
        raise CohortError(
            f"{len(seen)} of {len(cases)} patients shaped this bundle, {seen[0].patient} first; a reader study needs "
            "patients that no training saw"
        )
    Cohort(folder=cohort.folder, cases=tuple(cases)).verify()
    return cases


def answer_cases(
    predictor: Predictor, cohort: Cohort, cases: Sequence[Case], kept: Path, *, on_progress: Progress = silent
) -> list[ModelAnswer]:
    """The model's answer for each case, in their order.

    Args:
        predictor: of the bundle.
        cohort: where the zips are.
        cases: from `reader_cases`.
        kept: folder of the answers, one file a case; made where it does not exist.
        on_progress: told of each finished case.
    """
    kept.mkdir(parents=True, exist_ok=True)
    answers, version = [], code_version()
    for number, case in enumerate(cases, start=1):
        path = kept / f"{case.case}.json"
        key = {"pair_id": predictor.bundle.pair_id, "sha256": case.sha256, "code_version": version}
        found = read_json(path) if path.is_file() else None
        if found is None or found["key"] != key:
            answer = _answer(predictor, cohort, case)
            write_json(path, {"key": key, "answer": asdict(answer)})
        else:
            answer = _parse(found["answer"])
        answers.append(answer)
        on_progress("answer", number, len(cases))
    return answers


def _answer(predictor: Predictor, cohort: Cohort, case: Case) -> ModelAnswer:
    label = label_index(case.label)
    try:
        volume = read_volume(cohort.path(case.case), predictor.bundle.config.reader)
        answer = predictor.predict(volume)
    except StudyError as error:
        return ModelAnswer(case=case.case, label=label, outcome=None, covid_positive=None, refused=str(error))
    outcome = CaseOutcome(
        case=case.case,
        patient=case.patient,
        label=label,
        brand=volume.scanner.brand,
        scanner=str(volume.scanner),
        probabilities=tuple(answer.probabilities.values()),  # type: ignore[arg-type]
        burden=answer.burden.share,
        judged=answer.label != NOT_JUDGED,
    )
    return ModelAnswer(case=case.case, label=label, outcome=outcome, covid_positive=answer.covid_positive)


def _parse(values: dict[str, Any]) -> ModelAnswer:
    outcome = values["outcome"]
    if outcome is not None:
        outcome = CaseOutcome(**{**outcome, "probabilities": tuple(outcome["probabilities"])})
    return ModelAnswer(**{**values, "outcome": outcome})


def as_rater(answers: Sequence[ModelAnswer]) -> RaterAnswers:
    """The model as one rater among the readers; its Covid-19 decision is that of the bundle's threshold."""
    right = [answer.covid_positive is (answer.label == COVID) for answer in answers]
    return RaterAnswers(
        name=MODEL,
        classes=np.array([answer.answered for answer in answers], np.int64),
        covid_right=np.array(right, bool),
    )


def labels_of(answers: Sequence[ModelAnswer]) -> NDArray[np.int64]:
    """True class index of each case."""
    return np.array([answer.label for answer in answers], np.int64)
