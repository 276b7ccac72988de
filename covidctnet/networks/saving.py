"""Write networks to disk and load them again for inference."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from covidctnet.config import ResidualConfig
from covidctnet.errors import BundleError
from covidctnet.files import publish

if TYPE_CHECKING:
    from collections.abc import Callable

    from covidctnet.experiments.clinical import ClinicalHead
    from covidctnet.predictor import Classify
    from covidctnet.residual import Denoiser

KERAS_DENOISER = "denoiser.keras"
EXPORTED_DENOISER = "denoiser"


def save_denoiser(model: Any, folder: Path, config: ResidualConfig) -> None:
    """Write the denoiser into a folder: as a Keras file without its optimizer, and as its backend reads it.

    Args:
        model: the trained network, in float32.
        folder: receives `denoiser.keras` and, for the OpenVINO backend, `denoiser/`.
        config: backend and batch size.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / KERAS_DENOISER, include_optimizer=False)
    if config.backend == "openvino":
        from covidctnet.networks.openvino_denoiser import export_to_openvino

        export_to_openvino(model, folder / EXPORTED_DENOISER, config.batch_size)


def link_denoiser(bundle: Path, folder: Path) -> None:
    """Make a bundle's denoiser appear in a folder of its own, which must not exist, as `save_denoiser` writes it."""
    folder.mkdir(parents=True)
    publish(bundle / KERAS_DENOISER, folder / KERAS_DENOISER)
    if (bundle / EXPORTED_DENOISER).is_dir():
        publish(bundle / EXPORTED_DENOISER, folder / EXPORTED_DENOISER)


def export_classifier(
    model: Any, folder: Path, shape: tuple[int, int, int], *, clinical: "ClinicalHead | None" = None
) -> None:
    """Write the classifier as a SavedModel with typed signatures.

    `serving_default`: `residual` float32 (batch, z, y, x, 1) -> `probabilities` float32 (batch, 3).
    `with_clinical`, only where `clinical` is given: the same and `clinical` float32 (batch, 4), age and sex as
    `experiments.clinical.INPUTS` has them -> `probabilities`. Training pipelines give none.
    """
    import keras
    import tensorflow as tf

    def serve(residual: Any) -> dict[str, Any]:
        return {"probabilities": model(residual, training=False)}

    archive = keras.export.ExportArchive()
    archive.track(model)
    signature = tf.TensorSpec((None, *shape, 1), tf.float32, name="residual")
    archive.add_endpoint(name="serving_default", fn=serve, input_signature=[signature])
    if clinical is not None:
        weights = tf.constant(clinical.weights, tf.float32)

        def serve_both(residual: Any, clinical: Any) -> dict[str, Any]:
            image = tf.math.log(tf.maximum(model(residual, training=False), np.finfo(np.float32).tiny))
            return {"probabilities": tf.nn.softmax(image + tf.linalg.matmul(clinical, weights))}

        second = tf.TensorSpec((None, len(clinical.weights)), tf.float32, name="clinical")
        archive.add_endpoint(name="with_clinical", fn=serve_both, input_signature=[signature, second])
    archive.write_out(folder, verbose=False)


def load_denoiser(folder: Path, config: ResidualConfig) -> "Denoiser":
    """Load a denoiser for inference on the backend that it was trained for.

    With the OpenVINO backend neither Keras nor TensorFlow is imported.

    Args:
        folder: what `save_denoiser` wrote: a bundle, or the networks that will become one.
        config: backend and batch size.

    Raises:
        BundleError: a file is missing or holds another network.
    """
    if config.backend == "openvino":
        from covidctnet.networks.openvino_denoiser import OpenVinoDenoiser

        return OpenVinoDenoiser(folder / EXPORTED_DENOISER, config.batch_size)
    if importlib.util.find_spec("keras") is None:
        raise BundleError(
            "this bundle's denoiser runs on TensorFlow, which is not installed here; use an image or a lock file that "
            "has it (serve, transformer with ACCELERATOR=gpu), or train with residual.backend openvino"
        )
    from covidctnet.networks.keras_denoiser import KerasDenoiser

    return KerasDenoiser(load_keras_denoiser(folder))


def load_keras_denoiser(folder: Path) -> Any:
    """The denoiser as a Keras model, whatever its backend.

    Raises:
        BundleError: the file is missing or holds another network.
    """
    import keras

    # Importing the network registers its layers by name, so that the file needs no code of its own.
    import covidctnet.networks.denoiser  # noqa: F401

    try:
        return keras.saving.load_model(folder / KERAS_DENOISER, compile=False)
    except (OSError, ValueError, TypeError) as error:
        raise BundleError(f"the denoiser cannot be loaded: {error}") from None


def load_classifier(folder: Path) -> "Classify":
    """Load a SavedModel classifier as a function of residual stacks.

    Raises:
        BundleError: the folder is missing or holds no such signature.
    """
    import tensorflow as tf

    loaded, signature = _load_signature(folder, "serving_default")

    def classify(stacks: NDArray[np.float32]) -> NDArray[np.float32]:
        probabilities: NDArray[np.float32] = signature(residual=tf.constant(stacks))["probabilities"].numpy()
        return probabilities

    # The function's variables live as long as the loaded object does.
    classify.loaded = loaded  # type: ignore[attr-defined]
    return classify


def load_clinical_classifier(folder: Path) -> "Callable[[NDArray[np.float32], NDArray[np.float32]], Any]":
    """Load the second signature, as a function of residual stacks and of age and sex, shape (batch, 4).

    Raises:
        BundleError: the folder is missing, or was written without it.
    """
    import tensorflow as tf

    loaded, signature = _load_signature(folder, "with_clinical")

    def classify(stacks: NDArray[np.float32], clinical: NDArray[np.float32]) -> NDArray[np.float32]:
        answer = signature(residual=tf.constant(stacks), clinical=tf.constant(clinical))
        probabilities: NDArray[np.float32] = answer["probabilities"].numpy()
        return probabilities

    classify.loaded = loaded  # type: ignore[attr-defined]
    return classify


def _load_signature(folder: Path, name: str) -> tuple[Any, Any]:
    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(str(folder))
        return loaded, loaded.signatures[name]
    except (OSError, KeyError) as error:
        raise BundleError(f"the classifier cannot be loaded: {error}") from None
