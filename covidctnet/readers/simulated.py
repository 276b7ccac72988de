"""Readers that a program plays, for a worked example: they say nothing about people.

Each answer is right with the reader's rate for the class. Half of the time a reader takes the case's own draw instead
of one of theirs, so that readers err on the same cases, as people do; the rates stay what they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from covidctnet.errors import ConfigError
from covidctnet.labels import CAP, CONTROL, COVID, label_index
from covidctnet.readers.table import ReaderTable

SHARED_DRAWS = 0.5
"""How often a reader takes the case's own draw."""

MISTAKEN_FOR = {CONTROL: (COVID, CAP, 0.5), COVID: (CAP, CONTROL, 0.65), CAP: (COVID, CONTROL, 0.65)}
"""By true class the usual wrong answer, the other one, and how often it is the usual one. Chosen, not measured."""


@dataclass(frozen=True, kw_only=True)
class SimulatedReader:
    """How often a simulated reader is right, by true class in the order of the labels; chosen, not measured."""

    name: str
    rates: tuple[float, float, float]


READERS = (
    SimulatedReader(name="simulated-1", rates=(0.85, 0.85, 0.75)),
    SimulatedReader(name="simulated-2", rates=(0.80, 0.75, 0.70)),
    SimulatedReader(name="simulated-3", rates=(0.70, 0.80, 0.60)),
    SimulatedReader(name="simulated-4", rates=(0.75, 0.65, 0.65)),
)


def simulate_readers(
    cases: Sequence[tuple[str, str]], seed: int, readers: Sequence[SimulatedReader] = READERS
) -> ReaderTable:
    """Answers of simulated readers.

    Args:
        cases: name and label of each.
        seed: same seed and cases, same answers.
        readers: one or more, each with a name of their own.

    Raises:
        ConfigError: there is no reader or no case.
        CohortError: a label is none of the three.
    """
    if not readers or not cases:
        raise ConfigError(f"{len(readers)} readers and {len(cases)} cases: a reader study needs one or more of each")
    ordered = sorted(cases)
    labels = [label_index(label) for _, label in ordered]
    rng = np.random.default_rng(seed)
    shared = rng.uniform(size=(2, len(ordered)))
    answers = np.empty((len(readers), len(ordered)), np.int64)
    for row, reader in enumerate(readers):
        own = rng.uniform(size=(2, len(ordered)))
        takes_shared = rng.uniform(size=len(ordered)) < SHARED_DRAWS
        draws = np.where(takes_shared, shared, own)
        for place, label in enumerate(labels):
            answers[row, place] = _answer(label, reader.rates[label], *draws[:, place])
    names = np.argsort([reader.name for reader in readers])
    return ReaderTable(
        cases=tuple(case for case, _ in ordered),
        readers=tuple(readers[index].name for index in names),
        answers=answers[names],
        simulated=True,
    )


def _answer(label: int, rate: float, first: float, second: float) -> int:
    if first < rate:
        return label
    usual, other, often = MISTAKEN_FOR[label]
    return usual if second < often else other
