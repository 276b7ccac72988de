"""What an alias of MLflow's registry names, and its bundle: for a server that follows it."""

from dataclasses import replace
from pathlib import Path

from covidctnet.errors import TrackingError
from integrations.registry import fetch_bundle, find_model, list_models
from integrations.tracking_client import TrackingSettings


class AliasSource:
    """An alias of the registered model.

    Args:
        alias: for instance `champion`.
        settings: where MLflow is.
    """

    def __init__(self, alias: str, settings: TrackingSettings) -> None:
        self._alias = alias
        # Whoever follows asks again soon: a server that is away is no reason to wait.
        self._settings = replace(settings, retry_seconds=0.0)

    def current(self) -> str:
        """The `pair_id` that the alias names now.

        Raises:
            TrackingError: there is no such alias, its version names no bundle, or MLflow does not answer.
        """
        uri = f"models:/{self._settings.model}@{self._alias}"
        model = find_model(uri, settings=self._settings)
        if "pair_id" not in model.tags:
            raise TrackingError(f"version {model.version} of {uri} was not registered by this product: no pair_id")
        return model.tags["pair_id"]

    def fetch(self, pair_id: str, folder: Path) -> Path:
        """Bring the bundle to a folder, checked.

        Raises:
            TrackingError: no version has it, or MLflow does not answer.
            BundleError: what came is not what was registered.
        """
        versions = [one for one in list_models(self._settings) if one.tags.get("pair_id") == pair_id]
        if not versions:
            raise TrackingError(f"no version of {self._settings.model} is bundle {pair_id}")
        uri = f"models:/{self._settings.model}/{versions[-1].version}"
        return fetch_bundle(uri, folder, settings=self._settings)
