"""Prepared cases and answers without any image, for the arithmetic of experiments."""

import hashlib
from collections.abc import Sequence

import numpy as np

from covidctnet.cohort import Case
from covidctnet.evaluation.outcomes import CaseOutcome
from covidctnet.experiments.answers import FoldAnswers
from covidctnet.labels import LABELS
from covidctnet.stages.prepared import PreparedCase
from covidctnet.volume import Scanner

BRANDS = ("SIEMENS", "GE", "Philips")


def make_case(
    number: int, label: int, *, split: str = "train", patient: str = "", phantom: bool = True
) -> PreparedCase:
    """A case of a patient of its own; brand and site go round with the number."""
    brand = BRANDS[number % len(BRANDS)]
    name = f"{LABELS[label]}-{number}".replace("-19", "")
    return PreparedCase(
        case=Case(
            case=name,
            patient=patient or f"patient-{name}",
            site=f"site-{number % 2}",
            label=LABELS[label],
            scanner=f"{brand} X",
            kernel="B",
            sha256=hashlib.sha256(name.encode()).hexdigest(),
        ),
        split=split,
        scanner=Scanner(manufacturer=brand, model="X"),
        spacing_mm=(1.0, 1.0, 1.0),
        shape=(4, 4, 4),
        mean_lung_hu=-800.0,
        phantom=phantom,
        healthy_lung=(0.0, 0),
    )


def make_cases(count: int) -> list[PreparedCase]:
    """So many cases a class."""
    return [make_case(number, label) for label in range(len(LABELS)) for number in range(count)]


def make_answers(
    cases: Sequence[PreparedCase], *, arm: str, seed: int = 0, fold: str = "split", skill: float = 1.0, noise: int = 0
) -> FoldAnswers:
    """Answers that are the better the higher the skill; the same `noise` gives the same disturbance."""
    rng = np.random.default_rng((noise, seed))
    logits = rng.normal(size=(len(cases), len(LABELS)))
    logits[np.arange(len(cases)), [case.label for case in cases]] += skill
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    outcomes = tuple(
        CaseOutcome(
            case=case.case.case,
            patient=case.case.patient,
            label=case.label,
            brand=case.scanner.brand,
            scanner=str(case.scanner),
            probabilities=tuple(row),
        )
        for case, row in zip(cases, shares.tolist(), strict=True)
    )
    values = [0.5, 0.4]
    return FoldAnswers(
        arm=arm,
        seed=seed,
        fold=fold,
        temperature=1.0,
        threshold=0.4,
        trained=3 * len(cases),
        parameters=10,
        history={"loss": values, "val_loss": values, "accuracy": values, "val_accuracy": values},
        validation=outcomes[:3],
        test=outcomes,
    )
