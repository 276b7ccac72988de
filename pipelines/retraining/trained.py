"""What the registry knows of earlier trainings."""

from pathlib import Path

from covidctnet.bundle import load_bundle, patient_key
from covidctnet.errors import TrackingError
from integrations.data_history import cases_of
from integrations.data_versions import version_of
from integrations.data_workspace import open_workspace
from integrations.registry import RegisteredModel, fetch_pair, list_models
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


def startable(champion: str | None, workspace: Path, settings: TrackingSettings) -> str:
    """The champion as a bundle to start from.

    Args:
        champion: its `pair_id`, None where there is none.
        workspace: whose data version is to be trained on.
        settings: where MLflow is.

    Returns:
        The `pair_id`; empty for a start from the seed, where there is no champion, where it does not name its
        patients, or where one of them is no longer in the data: what is learnt from who was taken out must go.

    Raises:
        TrackingError: the champion is not registered, or MLflow does not answer.
    """
    if champion is None:
        return ""
    bundle = load_bundle(fetch_pair(champion, workspace / "state" / "champion" / champion, settings=settings))
    there = {patient_key(case.patient) for case in cases_of(open_workspace(workspace), version_of(workspace))}
    knows = set(bundle.reference.trained_on)
    return champion if knows and knows <= there else ""


def _models(settings: TrackingSettings) -> list[RegisteredModel]:
    if settings.is_local and not Path(settings.uri.removeprefix("sqlite:///")).is_file():
        return []
    return list_models(settings)
