"""How many patients an equally good candidate needs to pass: `python benchmarks/non_inferiority_power.py`."""

import argparse

import numpy as np


def power(patients: int, *, discordance: float, margin: float, trials: int, samples: int, seed: int) -> float:
    """Share of hold-outs on which a candidate exactly as good as the champion passes the gate's paired rule.

    Args:
        patients: of the class that the rate is about.
        discordance: share of them whom only one of the two models has right, half of them either.
        margin: of the rule.
        trials: simulated hold-outs.
        samples: bootstrap samples, by patient.
        seed: of all draws.
    """
    rng, passed = np.random.default_rng(seed), 0
    for _ in range(trials):
        gains = rng.choice([1, -1, 0], p=[discordance / 2, discordance / 2, 1 - discordance], size=patients)
        drawn = rng.multinomial(patients, np.full(patients, 1 / patients), size=samples) @ gains / patients
        passed += bool(np.quantile(drawn, 0.025) > -margin)
    return passed / trials


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--discordance", type=float, default=0.05)
    parser.add_argument("--margin", type=float, default=0.05)
    parser.add_argument("--trials", type=int, default=400)
    options = parser.parse_args()
    for patients in (40, 80, 100, 150, 200, 300):
        share = power(
            patients,
            discordance=options.discordance,
            margin=options.margin,
            trials=options.trials,
            samples=400,
            seed=0,
        )
        print(f"{patients:4d} patients: passes {share:.0%}")


if __name__ == "__main__":
    main()
