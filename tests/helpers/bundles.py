"""Bundles for tests: real networks of the smoke profile, untrained, so that they take seconds."""

from pathlib import Path

from benchmarks.untrained import SCANNERS, write_untrained
from covidctnet.bundle import Bundle, attach_metrics
from covidctnet.config import load_profile
from covidctnet.evaluation.metrics import evaluate
from covidctnet.evaluation.outcomes import CaseOutcome

__all__ = ["SCANNERS", "holdout_metrics", "untrained_bundle"]


def untrained_bundle(folder: Path, *, seed: int = 0, trained_on: tuple[str, ...] = ()) -> Bundle:
    """A bundle that answers, with the metrics of a hold-out of six cases."""
    bundle = write_untrained(folder, load_profile("smoke"), seed=seed, trained_on=trained_on)
    attach_metrics(bundle, {"metrics": holdout_metrics(), "baselines": {}})
    return bundle


def holdout_metrics() -> dict[str, object]:
    """Metrics of six answers, one of them wrong, on scanners of two brands."""
    truths, answers = (0, 0, 1, 1, 2, 2), (0, 0, 1, 1, 2, 0)
    outcomes = [
        CaseOutcome(
            case=f"case-{number}",
            patient=f"p{number}",
            label=truth,
            brand="GE (X)" if number % 2 else "Siemens",
            scanner="any",
            probabilities=tuple(0.8 if label == answer else 0.1 for label in range(3)),  # type: ignore[arg-type]
            burden=0.1,
        )
        for number, (truth, answer) in enumerate(zip(truths, answers, strict=True))
    ]
    config = load_profile("smoke")
    return evaluate(outcomes, threshold=0.4, config=config.evaluation, seed=0).to_dict()
