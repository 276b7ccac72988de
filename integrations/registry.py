"""Bundles as versions of one registered model of MLflow; aliases, never stages."""

import importlib.metadata
import os
import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covidctnet.bundle import Bundle, load_bundle
from covidctnet.bundle_signature import SIGNING_KEY, sign_bundle
from covidctnet.errors import BundleError, TrackingError
from covidctnet.labels import LABELS
from integrations.model_card import Origins, model_metrics, model_tags, write_card
from integrations.pyfunc_model import INPUT
from integrations.tracking_client import TrackingSettings, make_client, quiet_imports, retry
from integrations.tracking_guard import check_values
from integrations.tracking_runs import find_experiment, find_parent

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

_MODEL_URI = re.compile(r"models:/(?P<name>[^/@]+)(?:/(?P<version>\d+)|@(?P<alias>[\w.-]+))")
_IN_MODEL = "data/bundle"
_NOT_TOLD = Origins()
_LOADER = "integrations.pyfunc_model"
_LIBRARIES = (
    "imagecodecs", "keras", "mlflow", "numpy", "openvino", "pandas", "pydantic", "pydicom", "pyyaml", "scipy",
    "simpleitk", "tensorflow",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RegisteredModel:
    """One version of the registered model."""

    name: str
    version: int
    aliases: tuple[str, ...]
    tags: dict[str, str]
    card: str
    created: int


def register_bundle(
    bundle: Path,
    *,
    run_key: str,
    settings: TrackingSettings,
    sites: Sequence[str] = (),
    judged_by: Origins = _NOT_TOLD,
) -> int:
    """Register a bundle; the same bundle registered again gives the version that it has.

    Args:
        bundle: folder of the bundle.
        run_key: which pipeline run made it; its parent run gets the metrics and is the version's source.
        settings: where MLflow is.
        sites: pseudonyms of the sites whose patients trained it, for the card.
        judged_by: the patients of validation and hold-out, for the card.

    Returns:
        The version.

    Raises:
        BundleError: the folder is no intact bundle.
        TrackingError: MLflow does not answer or refuses. The bundle is untouched; run it again.
    """
    opened = load_bundle(bundle)
    tags = model_tags(opened, sites=sites, run_key=run_key)
    check_values(tags)
    client = retry("connect", lambda: make_client(settings), settings)
    known = retry("look for the bundle", lambda: _find_version(client, settings, opened.pair_id), settings)
    if known is not None:
        return known
    experiment = retry("find experiment", lambda: find_experiment(client, settings), settings)
    run_id = retry("find run", lambda: find_parent(client, settings, run_key), settings)
    logged = retry(
        "create model", lambda: client.create_logged_model(experiment, settings.model, run_id, tags=tags), settings
    )
    with tempfile.TemporaryDirectory() as folder:
        model = _save_model(bundle, Path(folder), model_id=logged.model_id, run_id=run_id)
        retry("upload the bundle", lambda: client.log_model_artifacts(logged.model_id, str(model)), settings)
    retry("finish model", lambda: client.finalize_logged_model(logged.model_id, "READY"), settings)
    retry("log metrics", lambda: _log_metrics(client, run_id, logged.model_id, opened), settings)
    card = write_card(opened, sites=sites, judged_by=judged_by, run_key=run_key)

    def create() -> int:
        # The answer to an earlier try may have been lost.
        made = _find_version(client, settings, opened.pair_id)
        if made is not None:
            return made
        _make_registered_model(client, settings.model)
        version = client.create_model_version(
            settings.model, logged.artifact_location, run_id, tags=tags, description=card, model_id=logged.model_id
        )
        return int(version.version)

    return retry("register the bundle", create, settings)


def _find_version(client: "MlflowClient", settings: TrackingSettings, pair_id: str) -> int | None:
    found = client.search_model_versions(f"name = '{settings.model}' and tags.pair_id = '{pair_id}'")
    return min((int(version.version) for version in found), default=None)


def _make_registered_model(client: "MlflowClient", name: str) -> None:
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name, description="Triage of chest CT. Research use only. Not a medical device.")


def _save_model(bundle: Path, folder: Path, *, model_id: str, run_id: str) -> Path:
    """Write the bundle as a model of MLflow, without a network, and give its folder."""
    os.environ["MLFLOW_UV_AUTO_DETECT"] = "false"
    with quiet_imports():
        from mlflow.models import Model, ModelSignature
        from mlflow.pyfunc import save_model
        from mlflow.types import ColSpec, DataType, Schema

    numbers = [ColSpec(DataType.double, name) for name in (*LABELS, "out_of_distribution")]
    outputs: list[Any] = [
        ColSpec(DataType.string, "label", required=False),
        ColSpec(DataType.boolean, "covid_positive", required=False),
        *numbers,
        ColSpec(DataType.string, "answer", required=False),
        ColSpec(DataType.string, "refusal", required=False),
    ]
    place, key = folder / "bundle", os.environ.get(SIGNING_KEY)
    if key:
        # A copy: what a pipeline step was given is not changed.
        shutil.copytree(bundle, place)
        sign_bundle(place, Path(key))
    else:
        place.symlink_to(bundle.resolve(), target_is_directory=True)
    save_model(
        path=str(folder / "model"),
        loader_module=_LOADER,
        data_path=str(place),
        signature=ModelSignature(Schema([ColSpec(DataType.string, INPUT)]), Schema(outputs)),
        input_example={INPUT: "study.zip"},
        pip_requirements=requirements(),
        mlflow_model=Model(model_id=model_id, model_uuid=model_id, run_id=run_id),
    )
    return folder / "model"


def requirements() -> list[str]:
    """What a prediction needs, at the versions that are installed.

    The product itself is left out: it is installed from its wheel or image, and a public index may hold
    something else by its name.
    """
    return [f"{name}=={importlib.metadata.version(name)}" for name in _LIBRARIES]


def _log_metrics(client: "MlflowClient", run_id: str, model_id: str, bundle: Bundle) -> None:
    from mlflow.entities import LoggedModelOutput, Metric

    client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
    now = time.time_ns() // 1_000_000
    values = model_metrics(bundle)
    metrics = [Metric(key, value, now, 0, model_id=model_id) for key, value in values.items()]
    for start in range(0, len(metrics), 500):
        client.log_batch(run_id, metrics=metrics[start : start + 500])


def list_models(settings: TrackingSettings) -> list[RegisteredModel]:
    """All versions, the newest first.

    Raises:
        TrackingError: MLflow does not answer, or refuses.
    """
    client = retry("connect", lambda: make_client(settings), settings)

    def search() -> list[RegisteredModel]:
        versions = client.search_model_versions(f"name = '{settings.model}'")
        # A search leaves the aliases out.
        return [_describe(client.get_model_version(settings.model, version.version)) for version in versions]

    return sorted(retry("list models", search, settings), key=lambda model: -model.version)


def find_model(uri: str, *, settings: TrackingSettings) -> RegisteredModel:
    """The version that `models:/NAME/VERSION` or `models:/NAME@ALIAS` stands for.

    Raises:
        TrackingError: another form, no such version or alias, or MLflow does not answer.
    """
    match = _MODEL_URI.fullmatch(uri)
    if match is None:
        raise TrackingError(
            f"{uri!r} is no model; write models:/{settings.model}/1 or models:/{settings.model}@champion"
        )
    client = retry("connect", lambda: make_client(settings), settings)

    def look() -> RegisteredModel:
        if match["version"]:
            return _describe(client.get_model_version(match["name"], match["version"]))
        return _describe(client.get_model_version_by_alias(match["name"], match["alias"]))

    return retry(f"find {uri}", look, settings)


def _describe(version: "ModelVersion") -> RegisteredModel:
    return RegisteredModel(
        name=version.name,
        version=int(version.version),
        aliases=tuple(sorted(version.aliases)),
        tags=dict(version.tags),
        card=version.description or "",
        created=int(version.creation_timestamp),
    )


def bundle_address(model: RegisteredModel, *, settings: TrackingSettings) -> str:
    """Where a version's bundle lies in the artifact store, such as `s3://bucket/prefix`; it is never written again.

    Raises:
        TrackingError: MLflow does not answer, or refuses.
    """
    client = retry("connect", lambda: make_client(settings), settings)
    place: str = retry(
        f"find the bundle of version {model.version}",
        lambda: client.get_model_version_download_uri(model.name, str(model.version)),
        settings,
    )
    return f"{place}/{_IN_MODEL}"


def fetch_bundle(uri: str, target: Path, *, settings: TrackingSettings) -> Path:
    """Bring the bundle of a registered version to a folder, whole and checked, or not at all.

    Args:
        uri: `models:/NAME/VERSION` or `models:/NAME@ALIAS`.
        target: the bundle's folder; it is replaced where it holds another bundle, and kept where it holds this one.
        settings: where MLflow is.

    Raises:
        BundleError: what came is not the bundle that was registered.
        TrackingError: no such version, or MLflow does not answer.
    """
    model = find_model(uri, settings=settings)
    pair_id = model.tags.get("pair_id", "")
    if _holds(target, pair_id):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as folder:
        came = Path(retry(f"fetch {uri}", lambda: _download(model, folder, settings), settings))
        found = load_bundle(came).pair_id
        if found != pair_id:
            raise BundleError(f"version {model.version} was registered as bundle {pair_id}, but holds {found}")
        if target.exists():
            shutil.rmtree(target)
        os.replace(came, target)
    return target


def fetch_pair(pair_id: str, target: Path, *, settings: TrackingSettings) -> Path:
    """Bring a registered bundle to a folder by its `pair_id`; as `fetch_bundle`.

    Raises:
        BundleError: what came is not the bundle that was registered.
        TrackingError: it is not registered, or MLflow does not answer.
    """
    client = retry("connect", lambda: make_client(settings), settings)
    version = retry("look for the bundle", lambda: _find_version(client, settings, pair_id), settings)
    if version is None:
        raise TrackingError(f"bundle {pair_id} is not registered as {settings.model}; see `covidctnet model list`")
    return fetch_bundle(f"models:/{settings.model}/{version}", target, settings=settings)


def _holds(folder: Path, pair_id: str) -> bool:
    try:
        return load_bundle(folder).pair_id == pair_id
    except BundleError:
        return False


def _download(model: RegisteredModel, folder: str, settings: TrackingSettings) -> str:
    client = make_client(settings)
    with quiet_imports():
        from mlflow.artifacts import download_artifacts

    # MLflow looks a models:/ address up in its global registry, whatever registry it is told.
    place = client.get_model_version_download_uri(model.name, str(model.version))
    return str(download_artifacts(f"{place}/{_IN_MODEL}", dst_path=folder, tracking_uri=settings.uri))
