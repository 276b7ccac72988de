"""The aliases of MLflow's registry follow the promotion log; setting one there is no compare-and-swap, the log's is."""

from dataclasses import asdict
from pathlib import Path

from covidctnet.errors import PromotionError
from covidctnet.promotion.aliases import Aliases
from covidctnet.promotion.log import PromotionLog
from integrations.registry import fetch_bundle, list_models
from integrations.tracking_client import TrackingSettings, make_client, retry

_MOST_ROUNDS = 5


def registered_aliases(settings: TrackingSettings) -> Aliases:
    """Where the aliases are in the registry, as `pair_id`.

    Raises:
        TrackingError: MLflow does not answer, or refuses.
    """
    found = {alias: model.tags.get("pair_id") for model in list_models(settings) for alias in model.aliases}
    return Aliases(**{name: found.get(name) for name in asdict(Aliases())})


def sync_aliases(log: PromotionLog, settings: TrackingSettings) -> Aliases:
    """Make the registry's aliases those of the log; done twice, it changes nothing.

    The log is read again afterwards: whoever moves meanwhile is followed, and the registry never ends behind.

    Args:
        log: what is true.
        settings: where MLflow is.

    Returns:
        Where the aliases are now.

    Raises:
        PromotionError: a model of the log is not in the registry, or the log does not come to rest.
        TrackingError: MLflow does not answer, or refuses; the log stands, and `covidctnet model sync` goes on.
    """
    for _ in range(_MOST_ROUNDS):
        wanted = log.read().aliases
        _set(wanted, settings)
        if log.read().aliases == wanted:
            return wanted
    raise PromotionError("the aliases keep moving; run `covidctnet model sync` when nobody promotes")


def _set(wanted: Aliases, settings: TrackingSettings) -> None:
    models = list_models(settings)
    versions = {model.tags.get("pair_id"): model.version for model in reversed(models)}
    placed = {alias: model.version for model in models for alias in model.aliases}
    client = retry("connect", lambda: make_client(settings), settings)
    for alias, pair_id in asdict(wanted).items():
        if pair_id is None:
            if alias in placed:
                retry(
                    f"take {alias} away",
                    lambda alias=alias: client.delete_registered_model_alias(settings.model, alias),  # type: ignore[misc]
                    settings,
                )
        elif pair_id not in versions:
            raise PromotionError(
                f"{alias} is bundle {pair_id}, which is not registered as {settings.model}; register it, then run "
                "`covidctnet model sync`"
            )
        elif placed.get(alias) != versions[pair_id]:
            version = str(versions[pair_id])
            retry(
                f"set {alias}",
                lambda alias=alias, version=version: client.set_registered_model_alias(  # type: ignore[misc]
                    settings.model, alias, version
                ),
                settings,
            )


def resolve_bundle(name: str, *, settings: TrackingSettings | None, workspace: Path) -> Path:
    """The folder of a bundle.

    Args:
        name: a folder, or `models:/NAME/VERSION` or `models:/NAME@ALIAS` of the registry.
        settings: where MLflow is; needed for a name of the registry only.
        workspace: where a bundle of the registry is brought to.

    Raises:
        PromotionError: a name of the registry, but no registry.
        BundleError: what came is not what was registered.
        TrackingError: there is no such version, or MLflow does not answer.
    """
    if not name.startswith("models:/"):
        return Path(name)
    if settings is None:
        raise PromotionError(f"{name} is in a registry; say where it is with --tracking or MLFLOW_TRACKING_URI")
    folder = name.removeprefix("models:/").replace("/", "-").replace("@", "-")
    return fetch_bundle(name, workspace / folder, settings=settings)


def is_confirmed(version: str, alias: str, *, log: PromotionLog, settings: TrackingSettings) -> bool:
    """Whether the promotion log says that an alias is this version of the registry.

    Raises:
        LogTamperedError: the log does not pass its checks.
        TrackingError: MLflow does not answer.
    """
    wanted = asdict(log.read().aliases).get(alias)
    pair_ids = {str(model.version): model.tags.get("pair_id") for model in list_models(settings)}
    return wanted is not None and pair_ids.get(version) == wanted
