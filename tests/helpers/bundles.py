"""Bundles for tests: real networks of the smoke profile, untrained, so that they take seconds."""

from pathlib import Path

from covidctnet.bundle import Bundle, Calibration, Reference, attach_metrics, write_bundle
from covidctnet.config import load_profile
from covidctnet.evaluation.metrics import evaluate
from covidctnet.evaluation.outcomes import CaseOutcome
from covidctnet.networks import build_classifier, build_denoiser
from covidctnet.networks.saving import export_classifier, save_denoiser

SCANNERS = ("GE Optima (CT520)", "Siemens Test")


def untrained_bundle(folder: Path, *, seed: int = 0, trained_on: tuple[str, ...] = ()) -> Bundle:
    """A bundle that answers, with the metrics of a hold-out of six cases."""
    import keras

    keras.utils.set_random_seed(seed)
    config, networks = load_profile("smoke"), folder.with_name(f"{folder.name}-networks")
    save_denoiser(build_denoiser(config.denoiser, config.preprocess.slice_size, seed=seed), networks, config.residual)
    classifier = build_classifier(config.classifier, config.residual.shape, seed=seed)
    export_classifier(classifier, networks / "classifier", config.residual.shape)
    bundle = write_bundle(
        folder,
        networks=networks,
        config=config,
        calibration=Calibration(temperature=1.5, threshold=0.4),
        reference=Reference(scanners=SCANNERS, ranges={"mean intensity": (0.0, 1.0)}, trained_on=trained_on),
        data_version="0123456789abcdef",
        code_version="c0de",
    )
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
