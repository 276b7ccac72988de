"""Hours that the `paper` profile asks of one GPU, from the arithmetic of its networks.

`python -m benchmarks.paper_hours [--tflops 5] [--patients 335] [--slices 300]`

An estimate, not a measurement: multiplications and additions of each network, three times those of a forward pass in
training, divided by a rate that the card is assumed to keep up. Reading, resampling and waiting for data are not in it;
the number of workers that read is what settles them.
"""

import argparse
from dataclasses import dataclass

from benchmarks.limits import forward_flops
from covidctnet.config import Config, load_profile

CONTROLS_SLICES = 21_888
"""Slices of the paper's denoiser Controls (paper, Methods)."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """One piece of a training run; floating-point operations."""

    name: str
    flops: float

    def hours(self, tflops: float) -> float:
        """At a rate in 10^12 operations a second."""
        return self.flops / (tflops * 1e12) / 3600.0


def work_of_a_run(config: Config, *, patients: int, slices: int) -> list[Work]:
    """What one training run computes.

    Args:
        config: profile.
        patients: without the denoiser's Controls; about the share of training patients learns.
        slices: of a patient at the profile's spacing.
    """
    from covidctnet.networks import build_classifier, build_denoiser

    denoiser = forward_flops(build_denoiser(config.denoiser, config.preprocess.slice_size))
    classifier = forward_flops(build_classifier(config.classifier, config.residual.shape))
    learning = patients * (1.0 - config.splits.validation - config.splits.holdout)
    epochs = config.denoiser.warm_start_epochs + config.denoiser.epochs
    return [
        Work(name="denoiser", flops=3 * denoiser * CONTROLS_SLICES * epochs),
        Work(name="residuals", flops=denoiser * patients * slices),
        Work(name="classifier", flops=3 * classifier * learning * config.classifier.epochs),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--tflops", type=float, default=5.0, help="rate that the card keeps up, 10^12 operations a second"
    )
    parser.add_argument("--patients", type=int, default=335)
    parser.add_argument("--slices", type=int, default=300, help="slices of a patient at 1 mm")
    given = parser.parse_args()
    parts = work_of_a_run(load_profile("paper"), patients=given.patients, slices=given.slices)
    print(f"| part | 10^15 operations | hours at {given.tflops:g} TFLOP/s |\n|---|---:|---:|")
    for part in [*parts, Work(name="together", flops=sum(part.flops for part in parts))]:
        print(f"| {part.name} | {part.flops / 1e15:.2f} | {part.hours(given.tflops):.2f} |")


if __name__ == "__main__":
    main()
