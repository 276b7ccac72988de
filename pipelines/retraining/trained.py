"""What the registry knows of earlier trainings."""

from pathlib import Path

from covidctnet.errors import TrackingError
from integrations.registry import RegisteredModel, list_models
from integrations.tracking_client import TrackingSettings


def last_trained(settings: TrackingSettings) -> str:
    """The data version of the newest registered model, whatever became of it; empty where there is none.

    Raises:
        TrackingError: MLflow does not answer.
    """
    models = _models(settings)
    return models[0].tags.get("data_version", "") if models else ""


def registered_version(settings: TrackingSettings, pair_id: str) -> int:
    """The version of a bundle in the registry.

    Raises:
        TrackingError: it is not registered, or MLflow does not answer.
    """
    found = [model.version for model in _models(settings) if model.tags.get("pair_id") == pair_id]
    if not found:
        raise TrackingError(f"bundle {pair_id} is not registered as {settings.model}; register it first")
    return min(found)


def _models(settings: TrackingSettings) -> list[RegisteredModel]:
    if settings.is_local and not Path(settings.uri.removeprefix("sqlite:///")).is_file():
        return []
    return list_models(settings)
