"""Bundles of networks that nobody trained: how fast they are does not depend on the weights."""

from pathlib import Path

from covidctnet.bundle import Bundle, Calibration, Reference, write_bundle
from covidctnet.config import Config
from covidctnet.networks import build_classifier, build_denoiser
from covidctnet.networks.saving import export_classifier, save_denoiser

SCANNERS = ("GE Optima (CT520)", "Siemens Test")


def write_untrained(folder: Path, config: Config, *, seed: int = 0, trained_on: tuple[str, ...] = ()) -> Bundle:
    """A bundle that answers, and whose answers mean nothing.

    Args:
        folder: of the bundle; the networks are written beside it.
        config: which networks.
        seed: of their weights.
        trained_on: hashed patients that it says it was trained on.
    """
    import keras

    keras.utils.set_random_seed(seed)
    networks = folder.with_name(f"{folder.name}-networks")
    save_denoiser(build_denoiser(config.denoiser, config.preprocess.slice_size, seed=seed), networks, config.residual)
    classifier = build_classifier(config.classifier, config.residual.shape, seed=seed)
    export_classifier(classifier, networks / "classifier", config.residual.shape)
    return write_bundle(
        folder,
        networks=networks,
        config=config,
        calibration=Calibration(temperature=1.5, threshold=0.4),
        reference=Reference(scanners=SCANNERS, ranges={"mean intensity": (0.0, 1.0)}, trained_on=trained_on),
        data_version="0123456789abcdef",
        code_version="c0de",
    )
