"""The two networks; Keras is imported when a name is first used, so that importing this stays cheap."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from covidctnet.networks.classifier import build_classifier, compile_classifier
    from covidctnet.networks.conv_lstm import TwoStepConvLSTM2D
    from covidctnet.networks.denoiser import build_denoiser, compile_denoiser

__all__ = [
    "TwoStepConvLSTM2D",
    "build_classifier",
    "build_denoiser",
    "compile_classifier",
    "compile_denoiser",
]

_HOMES = {
    "TwoStepConvLSTM2D": "conv_lstm",
    "build_classifier": "classifier",
    "build_denoiser": "denoiser",
    "compile_classifier": "classifier",
    "compile_denoiser": "denoiser",
}


def __getattr__(name: str) -> Any:
    """Import the module of a name on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
