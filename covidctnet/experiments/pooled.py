"""Answers of several folds together: each patient answered once, by a network that had not seen them."""

from collections.abc import Callable, Sequence

import numpy as np

from covidctnet.config import EvaluationConfig
from covidctnet.evaluation.bootstrap import Bools, Estimate, Floats, PatientBootstrap
from covidctnet.evaluation.outcomes import CaseOutcome
from covidctnet.evaluation.roc import multiclass_auc, weighted_auc
from covidctnet.experiments.answers import FoldAnswers
from covidctnet.labels import COVID
from covidctnet.promotion.statistics import brier_terms

SHARES = ("accuracy", "sensitivity", "specificity")


class PooledAnswers:
    """Calibrated answers of some folds as arrays, each with the threshold of its own fold.

    Args:
        answers: folds of one arm and seed.
        keep: which cases count.
    """

    def __init__(
        self, answers: Sequence[FoldAnswers], keep: Callable[[CaseOutcome], bool] = lambda outcome: True
    ) -> None:
        rows = [(outcome, entry.threshold) for entry in answers for outcome in entry.calibrated() if keep(outcome)]
        self.outcomes = [outcome for outcome, _ in rows]
        self.labels = np.array([outcome.label for outcome in self.outcomes], np.int64)
        self.probabilities = np.array([o.probabilities for o in self.outcomes], np.float64).reshape(-1, 3)
        self.covid: Bools = self.labels == COVID
        self.thresholds = np.array([threshold for _, threshold in rows])
        self.positive: Bools = self.probabilities[:, COVID] >= self.thresholds
        self.right: Bools = np.array([o.predicted == o.label for o in self.outcomes], bool)

    def measure(self, weights: Floats) -> dict[str, Floats]:
        """Every metric for weights (sets, case), each (sets,), NaN where it is not defined."""
        return {
            "macro_auc": multiclass_auc(self.labels, self.probabilities, weights)["macro"],
            "covid_auc": weighted_auc(self.covid, self.probabilities[:, COVID], weights),
            "brier": _share(weights, np.ones_like(self.covid), brier_terms(self.labels, self.probabilities)),
            **{name: _share(weights, about, hits) for name, (about, hits) in self._shares().items()},
        }

    def estimate(self, config: EvaluationConfig, seed: int) -> dict[str, Estimate]:
        """Every metric with its interval over patients; shares get exact ones where the bootstrap tells none."""
        bootstrap = PatientBootstrap([o.patient for o in self.outcomes], self.labels.tolist(), config, seed)
        values, samples = self.measure(np.ones((1, len(self.labels)))), bootstrap.resample(self.measure)
        everyone, shares = np.ones(len(self.labels), bool), self._shares()
        found = {}
        for name, value in values.items():
            if name in shares:
                about, hits = shares[name]
                found[name] = bootstrap.estimate_share(float(value[0]), samples[name], about, hits)
            else:
                found[name] = bootstrap.estimate(float(value[0]), samples[name], everyone)
        return found

    def _shares(self) -> dict[str, tuple[Bools, Bools]]:
        return {
            "accuracy": (np.ones_like(self.covid), self.right),
            "sensitivity": (self.covid, self.positive),
            "specificity": (~self.covid, ~self.positive),
        }


def _share(weights: Floats, about: Bools, hits: Bools | Floats) -> Floats:
    totals = weights @ about.astype(np.float64)
    shares = np.full(len(weights), np.nan)
    np.divide(weights @ (about * hits).astype(np.float64), totals, out=shares, where=totals > 0)
    return shares


def paired_difference(
    first: PooledAnswers, second: PooledAnswers, metric: str, config: EvaluationConfig, seed: int
) -> Estimate:
    """One metric of the first answers less that of the second, for the same cases in any order."""
    place = {outcome.case: number for number, outcome in enumerate(second.outcomes)}
    order = np.array([place[outcome.case] for outcome in first.outcomes])
    back = np.argsort(order)

    def measure(weights: Floats) -> dict[str, Floats]:
        return {metric: first.measure(weights)[metric] - second.measure(weights[:, back])[metric]}

    bootstrap = PatientBootstrap([o.patient for o in first.outcomes], first.labels.tolist(), config, seed)
    value = float(measure(np.ones((1, len(order))))[metric][0])
    return bootstrap.estimate(value, bootstrap.resample(measure)[metric], np.ones(len(order), bool))
