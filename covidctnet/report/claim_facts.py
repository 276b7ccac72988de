"""What a bundle tells the CLAIM checklist: data, preprocessing, networks, training, software."""

import platform
from importlib import metadata

from covidctnet.bundle import Bundle
from covidctnet.config import Config
from covidctnet.predictor import DISCLAIMER

_PACKAGES = ("tensorflow", "keras", "openvino", "numpy", "scipy", "scikit-learn", "SimpleITK", "pydicom")


def bundle_facts(bundle: Bundle) -> dict[str, str]:
    """Facts by name, as `claim.yaml` uses them."""
    config = bundle.config
    return {
        "disclaimer": DISCLAIMER,
        "data_version": bundle.data_version,
        "code_version": bundle.code_version,
        "config_digest": config.digest,
        "seed": str(config.seed),
        "scanners": ", ".join(bundle.reference.scanners) or "not recorded",
        "splits": _splits(config, len(bundle.reference.trained_on)),
        "preprocessing": _preprocessing(config),
        "model": _model(config),
        "software": software(),
        "initialisation": _initialisation(config),
        "training": _training(config),
        "selection": _selection(config),
        "performance": _performance(bundle),
    }


def software() -> str:
    """Python and the packages that results depend on, with versions."""
    found = [f"Python {platform.python_version()}"]
    for name in _PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found) + "."


def _splits(config: Config, trained: int) -> str:
    splits = config.splits
    return (
        f"By patient, seeded, stratified by label and scanner: {splits.denoiser:.0%} of the Controls for the "
        f"denoiser, {splits.validation:.0%} validation, {splits.holdout:.0%} hold-out, the rest training; "
        f"{trained} patients shaped the bundle."
    )


def _preprocessing(config: Config) -> str:
    pre, shape = config.preprocess, config.residual.shape
    edges = "clipped" if pre.range_handling == "clip" else "air outside"
    return (
        f"Resampled to {_by(pre.spacing_mm)} mm ({pre.interpolation}), {pre.hu_min:g} to {pre.hu_max:g} HU ({edges}) "
        f"scaled to 0 to 1, slices of {_by(pre.slice_size)}; residuals resized to {_by(shape)}."
    )


def _model(config: Config) -> str:
    den, cls = config.denoiser, config.classifier
    return (
        f"Denoiser BCDU-Net: a slice of {_by(config.preprocess.slice_size)} in and out, filters {_list(den.filters)}, "
        f"{den.dense_blocks} dense blocks. Classifier: {_by(config.residual.shape)} residuals in, 3D convolutions with "
        f"filters {_list(cls.filters)}, {cls.dense_units} dense units, softmax over three classes."
    )


def _initialisation(config: Config) -> str:
    if config.start_from:
        return f"From the registered bundle {config.start_from}."
    warm = config.denoiser.warm_start_epochs
    first = f"the denoiser first learns to find lungs for {warm} epochs" if warm else "no warm start"
    return f"Random (He), seed {config.seed}; {first}."


def _training(config: Config) -> str:
    parts = [
        f"{name}: Adam, rate {net.learning_rate:g}, batch {net.batch_size}, at most {net.epochs} epochs, "
        f"dropout {net.dropout:g}"
        for name, net in (("denoiser", config.denoiser), ("classifier", config.classifier))
    ]
    augmented = config.classifier.flip_augmentation or config.classifier.shift_augmentation > 0
    noise = (
        f"Pseudo-infections of Perlin noise ({config.noise.placement}) in {config.noise.noisy_fraction:.0%} of slices"
    )
    return "; ".join(parts) + f". {noise}; the classifier's input is {'' if augmented else 'not '}augmented."


def _selection(config: Config) -> str:
    kept = "lowest validation loss" if config.classifier.keep == "best" else "last epoch"
    return f"Classifier of the {kept}; temperature and threshold fitted on validation alone."


def _performance(bundle: Bundle) -> str:
    found = (bundle.metrics or {}).get("metrics")
    if not found:
        return "Not run: the bundle was not evaluated on a hold-out."
    accuracy = found["three_class"]["accuracy"]["value"]
    return (
        f"Hold-out of training: {found['patients']} patients, accuracy {accuracy:.3f} (model card). Losses of training "
        "and validation: the training's own report."
    )


def _by(values: tuple[float, ...]) -> str:
    return " x ".join(f"{value:g}" for value in values)


def _list(values: tuple[int, ...]) -> str:
    return ", ".join(map(str, values))
