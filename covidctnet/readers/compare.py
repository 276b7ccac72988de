"""The whole comparison of a reader study: scores, agreement, tests and curves, from answers alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from covidctnet.config import EvaluationConfig
from covidctnet.errors import CohortError
from covidctnet.evaluation.bootstrap import Estimate, PatientBootstrap
from covidctnet.evaluation.metrics import Metrics, evaluate
from covidctnet.evaluation.outcomes import CaseOutcome
from covidctnet.labels import LABELS
from covidctnet.readers.agreement import Agreement, measure_agreement
from covidctnet.readers.answers import ModelAnswer, as_rater, labels_of
from covidctnet.readers.paired import MeanDifference, PairedTest, mean_differences, paired_tests
from covidctnet.readers.scores import NO_CLASS, RaterAnswers, mean_reader, score
from covidctnet.readers.table import ReaderTable


@dataclass(frozen=True, kw_only=True)
class ReaderComparison:
    """What a reader study says.

    Attributes:
        answers: of the model, one a case.
        readers: answers of each reader for the same cases.
        simulated: whether the readers are simulated.
        scores: by rater's name, the model first, then the readers; estimates by metric.
        mean: of the readers, by metric.
        tests: the model against each reader.
        differences: model minus mean reader.
        agreement: of the readers; None of one reader alone.
        metrics: of the model's probabilities, over the cases that it answered; None where there is none.
        confidence: of all intervals.
    """

    answers: tuple[ModelAnswer, ...]
    readers: tuple[RaterAnswers, ...]
    simulated: bool
    scores: dict[str, dict[str, Estimate]]
    mean: dict[str, Estimate]
    tests: tuple[PairedTest, ...]
    differences: tuple[MeanDifference, ...]
    agreement: Agreement | None
    metrics: Metrics | None
    confidence: float

    @property
    def outcomes(self) -> list[CaseOutcome]:
        """The model's answers with probabilities: refused studies have none."""
        return [answer.outcome for answer in self.answers if answer.outcome is not None]

    @property
    def counts(self) -> dict[str, int]:
        """Cases by label."""
        return {name: sum(answer.label == index for answer in self.answers) for index, name in enumerate(LABELS)}

    @property
    def unnamed(self) -> int:
        """How many cases got no class from the model: refused, or too unlike its training."""
        return sum(answer.answered == NO_CLASS for answer in self.answers)

    def wrong_raters(self, place: int) -> list[str]:
        """Who has the class of one case wrong, by its place: the model and readers."""
        answer = self.answers[place]
        raters = (as_rater([answer]).classes[0], *(reader.classes[place] for reader in self.readers))
        names = ("model", *(reader.name for reader in self.readers))
        return [name for name, said in zip(names, raters, strict=True) if said != answer.label]


def compare_with_readers(
    answers: Sequence[ModelAnswer], table: ReaderTable, *, threshold: float, config: EvaluationConfig, seed: int
) -> ReaderComparison:
    """Compare the model with the readers.

    Args:
        answers: of the model, one a patient.
        table: of the readers, for the same cases.
        threshold: the bundle's Covid-19 decision threshold.
        config: bootstrap samples and confidence.
        seed: of the bootstrap.

    Raises:
        CohortError: a class has no case.
    """
    labels = labels_of(answers)
    missing = [name for index, name in enumerate(LABELS) if not (labels == index).any()]
    if missing:
        raise CohortError(f"the reader study has no case of {', '.join(missing)}; sensitivity and averages need one")
    said = table.select([answer.case for answer in answers])
    readers = [RaterAnswers.of_reader(name, row, labels) for name, row in zip(table.readers, said, strict=True)]
    model = as_rater(answers)
    # One case a patient: the case's name serves as the patient's.
    bootstrap = PatientBootstrap([answer.case for answer in answers], labels.tolist(), config, seed)
    outcomes = [answer.outcome for answer in answers if answer.outcome is not None]
    return ReaderComparison(
        answers=tuple(answers),
        readers=tuple(readers),
        simulated=table.simulated,
        scores={rater.name: score(rater, labels, bootstrap, config.confidence) for rater in (model, *readers)},
        mean=mean_reader(readers, labels, bootstrap),
        tests=tuple(paired_tests(model, readers, labels)),
        differences=tuple(mean_differences(model, readers, labels, bootstrap, seed)),
        agreement=measure_agreement(table.readers, said, bootstrap) if len(readers) > 1 else None,
        metrics=evaluate(outcomes, threshold=threshold, config=config, seed=seed) if outcomes else None,
        confidence=config.confidence,
    )
