"""Experiments as compiled pipelines: which components, how often, and in whose settings."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from covidctnet.config import load_profile
from covidctnet.errors import ConfigError, ExperimentError
from covidctnet.experiments.options import ExperimentOptions
from covidctnet.experiments.results import EXPERIMENTS
from pipelines.compilation import compile_pipeline
from pipelines.experiment_plan import ExperimentPlan
from pipelines.experiment_run import experiment_parameters, keep_input, phantom_config
from pipelines.experiments import build_experiment
from pipelines.settings import load_settings

IMAGE = "registry.example/covidctnet-python@sha256:" + "0123456789abcdef" * 4


def plan(name: str, **given: str) -> ExperimentPlan:
    if name == "clinical":
        given = {"clinical": "/shared/demographics.csv", **given}
    return ExperimentPlan(name=name, config=load_profile("smoke"), seeds=(0, 1), **given)


def compiled(tmp_path: Path, name: str, **given: str) -> dict[str, Any]:
    settings = load_settings("cluster", image=IMAGE)
    path = compile_pipeline(
        settings, tmp_path / f"{name}.yaml", build=lambda found: build_experiment(plan(name, **given), found)
    )
    document: dict[str, Any] = next(yaml.safe_load_all(path.read_text("utf-8")))
    return document


def calls(document: dict[str, Any]) -> list[str]:
    """The component of every call, loops counted once."""
    graphs = [document["root"], *document["components"].values()]
    return [
        task["componentRef"]["name"].removeprefix("comp-").rstrip("-0123456789")
        for graph in graphs
        for task in graph.get("dag", {}).get("tasks", {}).values()
    ]


@pytest.mark.parametrize(
    ("name", "folds", "denoisers"),
    [("ablation", 8, 4), ("patches", 2, 2), ("clinical", 2, 2), ("crossval", 1, 1), ("scanners", 1, 1),
     ("localisation", 0, 1)],
)  # fmt: skip
def test_each_experiment_is_a_pipeline_of_the_components(tmp_path: Path, name: str, folds: int, denoisers: int) -> None:
    document = compiled(tmp_path, name)
    found = calls(document)
    assert (found.count("train-fold"), found.count("train-denoiser")) == (folds, denoisers)
    assert {"fetch-dataset", "select-cases", "validate-scanner-metadata", "preprocess"} <= set(found)
    assert found.count("conclude") + found.count("localise") == 1
    assert document["pipelineInfo"]["name"] == f"covidctnet-{name}"
    images = {e["container"]["image"] for e in document["deploymentSpec"]["executors"].values() if "container" in e}
    assert images == {IMAGE}


def test_the_denoiser_without_noise_is_trained_on_none(tmp_path: Path) -> None:
    text = yaml.safe_dump(compiled(tmp_path, "ablation"))
    assert text.count('"noisy_fraction": 0.0') >= 2
    assert text.count('"noisy_fraction": 0.5') >= 2


def test_a_bundles_denoiser_takes_the_place_of_the_training(tmp_path: Path) -> None:
    found = calls(compiled(tmp_path, "localisation", bundle="/shared/bundle", pair_id="0" * 16))
    assert found.count("adopt-denoiser") == 1
    assert not {"train-denoiser", "preprocess"} & set(found)


def test_what_cannot_be_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="use one of ablation"):
        plan("reading")
    with pytest.raises(ExperimentError, match="needs answers of readers and a bundle"):
        plan("readers")
    with pytest.raises(ExperimentError, match="seeds are different numbers"):
        ExperimentPlan(name="ablation", config=load_profile("smoke"), seeds=(1, 1))
    with pytest.raises(ExperimentError, match="give it with --demographics"):
        plan("clinical", clinical="")
    with pytest.raises(ConfigError, match="pinned by its digest"):
        compile_pipeline(
            load_settings("local"), tmp_path / "x.yaml", build=lambda found: build_experiment(plan("crossval"), found)
        )


def test_every_experiment_has_a_body() -> None:
    from pipelines.experiments import _BODIES

    assert set(_BODIES) == set(EXPERIMENTS)


def test_experiments_share_steps_where_cases_seeds_and_configuration_are_equal(tmp_path: Path) -> None:
    settings = load_settings("local")
    first, second = (experiment_parameters(tmp_path, plan(name), "d", settings) for name in ("ablation", "crossval"))
    assert first == second
    assert '"experiment": "covidctnet-experiments"' in first["tracking"]


def test_an_input_is_kept_by_its_content(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("one")
    first = keep_input(tmp_path / "ws", table)
    table.write_text("two")
    second = keep_input(tmp_path / "ws", table)
    assert first != second
    assert Path(first).read_text() == "one"


def test_the_phantom_cohort_has_just_the_cases_that_are_asked_for() -> None:
    config = phantom_config(load_profile("experiment"), ExperimentOptions(cases=7, denoiser_controls=5))
    assert (config.phantom.controls, config.phantom.covid, config.phantom.cap) == (12, 7, 7)
