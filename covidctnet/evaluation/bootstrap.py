"""Intervals by resampling patients (percentile bootstrap, stratified by class).

Scans of one patient resemble each other, so whole patients are drawn, never single cases. Each class keeps
its number of patients, so that every resample has all classes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from covidctnet.config import EvaluationConfig
from covidctnet.errors import CohortError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

Statistics = Callable[[Floats], Mapping[str, Floats]]
"""Weights of the cases (sample, case) -> values by name (sample,), NaN where a value is not defined."""

_WEIGHTS_AT_ONCE = 4_000_000
"""Bounds the memory of a chunk of resamples, at about 32 MB an intermediate array."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its uncertainty; None stands for what cannot be computed.

    Attributes:
        value: the hold-out's own value.
        low, high: bounds of the interval.
        method: how the interval was made. "exact" is that of Clopper and Pearson (Biometrika 1934), used for
            a share where the bootstrap says nothing: all resamples alike, or a class with a single patient.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    method: Literal["bootstrap", "exact"] | None = None


class PatientBootstrap:
    """Draws patients with replacement, within each class.

    Args:
        patients: patient of each case.
        labels: class index of each case.
        config: number of samples and confidence.
        seed: same seed, same samples.

    Raises:
        CohortError: there is no case, or the two lengths differ.
    """

    def __init__(self, patients: Sequence[str], labels: Sequence[int], config: EvaluationConfig, seed: int) -> None:
        if not patients or len(patients) != len(labels):
            raise CohortError(f"expected a patient and a label for each case, not {len(patients)}, {len(labels)}")
        self._config, self._seed = config, seed
        classes: dict[str, set[int]] = {}
        for patient, label in zip(patients, labels, strict=True):
            classes.setdefault(patient, set()).add(int(label))
        names = sorted(classes)
        # A patient with cases of two classes belongs to a stratum of such patients.
        keys = [tuple(sorted(classes[name])) for name in names]
        self._strata = [np.flatnonzero([key == stratum for key in keys]) for stratum in sorted(set(keys))]
        position = {name: index for index, name in enumerate(names)}
        self.patient_of_case = np.array([position[patient] for patient in patients], np.int64)

    @property
    def patients(self) -> int:
        """Number of patients."""
        return sum(len(stratum) for stratum in self._strata)

    def informative(self, cases: Bools) -> bool:
        """Whether each class among the marked cases has two patients or more to draw from."""
        touched = set(self.patient_of_case[cases].tolist())
        sizes = [len(stratum) for stratum in self._strata if touched & set(stratum.tolist())]
        return bool(sizes) and min(sizes) >= 2

    def resample(self, statistics: Statistics) -> dict[str, Floats]:
        """Values of the statistics in every bootstrap sample, by name, shape (samples,)."""
        rng = np.random.default_rng(self._seed)
        samples, cases = self._config.bootstrap_samples, len(self.patient_of_case)
        step = max(1, _WEIGHTS_AT_ONCE // cases)
        chunks = []
        for start in range(0, samples, step):
            count = min(step, samples - start)
            weights = np.zeros((count, self.patients))
            for stratum in self._strata:
                share = np.full(len(stratum), 1.0 / len(stratum))
                weights[:, stratum] = rng.multinomial(len(stratum), share, size=count)
            chunks.append(statistics(weights[:, self.patient_of_case]))
        return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}

    def estimate(self, value: float, samples: Floats, cases: Bools) -> Estimate:
        """Percentile interval of a value.

        Args:
            value: from the cases as they are; NaN where it is not defined.
            samples: from `resample`.
            cases: those that the value depends on.

        Returns:
            An estimate without interval where resampling cannot tell one: a class with one patient, a sample
            without value, or samples that are all alike.
        """
        if not np.isfinite(value):
            return Estimate(value=None)
        if not self.informative(cases) or not np.isfinite(samples).all() or np.ptp(samples) < 1e-12:
            return Estimate(value=float(value))
        tail = (1.0 - self._config.confidence) / 2.0
        low, high = np.quantile(samples, (tail, 1.0 - tail))
        return Estimate(value=float(value), low=float(low), high=float(high), method="bootstrap")

    def estimate_share(self, value: float, samples: Floats, cases: Bools, hits: Bools) -> Estimate:
        """Interval of a share of cases; exact where the bootstrap tells none and each case is one patient.

        Args:
            value: the share of `hits` among `cases`.
            samples: from `resample`.
            cases: those that the share is about.
            hits: those that count.
        """
        estimate = self.estimate(value, samples, cases)
        drawn = self.patient_of_case[cases]
        if estimate.value is None or estimate.method is not None or len(set(drawn.tolist())) < len(drawn):
            return estimate
        from scipy.stats import binomtest

        test = binomtest(int((cases & hits).sum()), int(cases.sum()))
        interval = test.proportion_ci(self._config.confidence, method="exact")
        return Estimate(value=estimate.value, low=float(interval.low), high=float(interval.high), method="exact")
