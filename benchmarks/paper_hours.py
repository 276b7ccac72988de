"""Hours that the `paper` profile asks of one GPU, from the arithmetic of its networks.

`python -m benchmarks.paper_hours [--tflops 5] [--patients 335] [--slices 300]`

An estimate, not a measurement: two operations for each multiplication of a network's matrix products, three times those
of a forward pass in training, divided by a rate that the card is assumed to keep up. Reading and resampling are not in
it: they are the processor's work.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.limits import forward_flops
from covidctnet.config import Config, load_profile
from covidctnet.experiments.options import ExperimentOptions

CONTROLS_SLICES = 21_888
"""Slices of the paper's denoiser Controls (paper, Methods)."""

NETWORKS = {"ablation": (6, 12), "patches": (3, 6), "clinical": (3, 6), "crossval": (1, 5), "scanners": (1, 15)}
"""Denoisers and classifiers that an experiment trains with its default options, five brands and five sites; a
network of the patch-based baseline counts as a classifier. In one workspace, what `ablation` trained is used again."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Floating-point operations of one forward pass of each network: of a slice, and of a case."""

    slice: float
    case: float

    @classmethod
    def of(cls, config: Config) -> "Costs":
        """Count those of a profile."""
        from covidctnet.networks import build_classifier, build_denoiser

        denoiser = build_denoiser(config.denoiser, config.preprocess.slice_size)
        classifier = build_classifier(config.classifier, config.residual.shape)
        return cls(slice=forward_flops(denoiser), case=forward_flops(classifier))


def training_run(config: Config, costs: Costs, *, patients: int, slices: int) -> dict[str, float]:
    """Operations of one training run by part.

    Args:
        config: profile.
        costs: of its networks.
        patients: without the denoiser's Controls.
        slices: of a patient at the profile's spacing.
    """
    learning = patients * (1.0 - config.splits.validation - config.splits.holdout)
    return _parts(config, costs, denoised=CONTROLS_SLICES, patients=patients, slices=slices, learning=learning)


def experiments(config: Config, costs: Costs, *, slices: int) -> dict[str, float]:
    """Operations of each experiment with its default options, alone in its workspace."""
    options = ExperimentOptions()
    patients = 3 * options.cases
    one = _parts(
        config,
        costs,
        denoised=options.denoiser_controls * slices,
        patients=patients,
        slices=slices,
        learning=patients * (1.0 - options.validation - options.test),
    )
    return {
        name: denoisers * (one["denoiser"] + one["residuals"]) + classifiers * one["classifier"]
        for name, (denoisers, classifiers) in NETWORKS.items()
    }


def _parts(
    config: Config, costs: Costs, *, denoised: float, patients: int, slices: int, learning: float
) -> dict[str, float]:
    epochs = config.denoiser.warm_start_epochs + config.denoiser.epochs
    return {
        "denoiser": 3 * costs.slice * denoised * epochs,
        "residuals": costs.slice * patients * slices,
        "classifier": 3 * costs.case * learning * config.classifier.epochs,
    }


def table(what: str, parts: Mapping[str, float], tflops: float) -> list[str]:
    """Rows of Markdown: operations and hours at a rate in 10^12 operations a second."""
    rows = [f"| {what} | 10^15 operations | hours at {tflops:g} TFLOP/s |", "|---|---:|---:|"]
    return rows + [f"| {name} | {flops / 1e15:.1f} | {flops / tflops / 3.6e15:.1f} |" for name, flops in parts.items()]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tflops", type=float, default=5.0, help="rate that the card keeps up")
    parser.add_argument("--patients", type=int, default=335)
    parser.add_argument("--slices", type=int, default=300, help="slices of a patient at 1 mm")
    given = parser.parse_args()
    config = load_profile("paper")
    costs = Costs.of(config)
    run = training_run(config, costs, patients=given.patients, slices=given.slices)
    print("\n".join(table("part of one training run", {**run, "together": sum(run.values())}, given.tflops)))
    print()
    print("\n".join(table("experiment", experiments(config, costs, slices=given.slices), given.tflops)))


if __name__ == "__main__":
    main()
