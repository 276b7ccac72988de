"""A training that starts from a registered bundle: its networks, where they fit, and its patients, always."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from covidctnet.bundle import load_bundle
from covidctnet.config import Config, parse_config
from covidctnet.errors import ConfigError, TrainingError
from covidctnet.networks.saving import load_keras_denoiser
from covidctnet.stages.extract_residuals import ResidualStacks
from covidctnet.stages.prepared import PreparedCohort
from covidctnet.stages.train_classifier import train_and_write_bundle
from covidctnet.stages.training_state import TrainingState
from covidctnet.training.starting_point import StartingPoint
from integrations.steps.training import NETWORK, train_denoiser
from tests.helpers.bundles import untrained_bundle
from tests.helpers.components_run import ComponentsRun


def still(run: ComponentsRun, **changes: Any) -> Config:
    """One epoch that changes next to nothing, so that what is left is what it started from."""
    config = parse_config(json.loads(run.parameters["config"]))
    return replace(
        config,
        start_from=load_bundle(run.path("bundle")).pair_id,
        denoiser=replace(config.denoiser, epochs=1, learning_rate=1e-12, **changes),
        classifier=replace(config.classifier, epochs=1, learning_rate=1e-12, keep="last"),
    )


def train_once(run: ComponentsRun, config: Config, folder: Path) -> list[np.ndarray]:
    """The step as a component calls it; gives the kernels of the denoiser."""
    train_denoiser(
        records=[artifact.path for artifact in run.shards("records")],
        healthy=[artifact.path for artifact in run.shards("healthy")],
        state=str(folder / "state"), output=str(folder / "denoiser"), metrics=str(folder / "metrics"),
        log_metric=lambda name, value: None, run={**run.context, "config": json.dumps(asdict(config))},
    )  # fmt: skip
    return kernels(folder / "denoiser" / NETWORK)


def kernels(folder: Path) -> list[np.ndarray]:
    return [value for value in load_keras_denoiser(folder).get_weights() if value.ndim == 4]


def test_the_denoiser_goes_on_from_the_bundle_and_leaves_the_lung_training_out(
    components_run: ComponentsRun, tmp_path: Path
) -> None:
    made = train_once(components_run, still(components_run), tmp_path)
    for mine, champions in zip(made, kernels(components_run.path("bundle")), strict=True):
        np.testing.assert_allclose(mine, champions, atol=1e-6)
    assert set(json.loads((tmp_path / "denoiser" / "histories.json").read_text())) == {"denoiser"}


def test_a_denoiser_of_other_shapes_starts_from_the_seed(components_run: ComponentsRun, tmp_path: Path) -> None:
    config = still(components_run, filters=(4, 4, 8, 12))
    with_start = train_once(components_run, config, tmp_path / "one")
    without = train_once(components_run, replace(config, start_from=""), tmp_path / "two")
    assert all(np.array_equal(one, two) for one, two in zip(with_start, without, strict=True))


def test_the_classifier_goes_on_and_inherits_the_patients(components_run: ComponentsRun, tmp_path: Path) -> None:
    config, source = still(components_run), load_bundle(components_run.path("bundle"))
    point = StartingPoint.load(source.folder)
    start = point.classifier_for(config)
    assert start is not None
    stranger = "f" * 24
    made, _ = train_and_write_bundle(
        PreparedCohort.load(Path(artifact.path) for artifact in components_run.shards("records")),
        ResidualStacks.load(Path(artifact.path) for artifact in components_run.shards("residuals")),
        components_run.path("denoiser") / NETWORK,
        tmp_path / "bundle",
        TrainingState(folder=tmp_path / "state", config=config, code_version="c"),
        data_version="d",
        start=start,
        inherited=(*point.trained_on, stranger),
    )
    for mine, champions in zip(StartingPoint.load(made.folder).classifier, point.classifier, strict=True):
        np.testing.assert_allclose(mine, champions, atol=1e-6)
    assert set(made.reference.trained_on) == {*source.reference.trained_on, stranger}
    other = replace(config, classifier=replace(config.classifier, dense_units=5))
    assert point.classifier_for(other) is None


def test_nothing_starts_from_a_bundle_that_does_not_name_its_patients(tmp_path: Path) -> None:
    silent = untrained_bundle(tmp_path / "bundle")
    with pytest.raises(TrainingError, match=f"bundle {silent.pair_id} does not say which patients trained it"):
        StartingPoint.load(silent.folder)


def test_what_training_starts_from_is_part_of_the_configuration_and_its_checkpoints(tmp_path: Path) -> None:
    one = parse_config({"name": "n"})
    other = replace(one, start_from="0123456789abcdef")
    assert one.digest != other.digest
    states = [TrainingState(folder=tmp_path, config=config, code_version="c") for config in (one, other)]
    first, second = (state.checkpoint("denoiser", ("start_from",)).fingerprint for state in states)
    assert first != second
    with pytest.raises(ConfigError, match="start_from"):
        parse_config({"name": "n", "start_from": "champion"})
