"""One made-up study through both halves of a pair, before the first client's."""

import functools
from typing import Any

import numpy as np

from covidctnet.bundle import Bundle
from covidctnet.predictor import Predictor
from covidctnet.volume import HUArray, Volume
from serving.admission import Job
from serving.settings import PredictorSettings
from serving.transformer.classifier import RemoteClassifier

_SPACING_MM = (6.0, 5.0, 5.0)


def rehearse(
    bundle: Bundle, denoiser: Any, *, predictor: str, model: str, settings: PredictorSettings, seconds: float
) -> None:
    """Answer for a made-up chest; what it says is thrown away.

    Args:
        bundle: this transformer's half.
        denoiser: the bundle's.
        predictor: host and port of the other half.
        model: name of the model there.
        settings: how the predictor is called.
        seconds: how long it may take.

    Raises:
        ServingError: the predictor cannot be reached, serves another pair or answers no probabilities.
    """
    classifier = RemoteClassifier(predictor, model, bundle.serving_version, settings)
    try:
        classify = functools.partial(classifier.classify, job=Job("rehearsal", seconds))
        Predictor(bundle, denoiser=denoiser, classify=classify).examine(
            Volume(hu=_made_up_chest(), spacing_mm=_SPACING_MM)
        )
    finally:
        classifier.close()


def _made_up_chest() -> HUArray:
    """Hounsfield units, axes (z, y, x): a block of soft tissue with two lungs."""
    hu = np.full((40, 80, 80), -1000.0, np.float32)
    hu[:, 12:68, 8:72] = 40.0
    hu[4:-4, 22:56, 14:36] = hu[4:-4, 22:56, 44:66] = -850.0
    return hu
