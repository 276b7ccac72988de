"""The reader study as a pipeline: what it is made of, and a run that is gone on with."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from covidctnet.bundle import load_bundle
from covidctnet.config import load_profile
from covidctnet.readers.example import make_reader_example
from covidctnet.readers.files import READERS_FILE
from pipelines.compilation import compile_pipeline
from pipelines.experiment_plan import ExperimentPlan
from pipelines.experiment_run import keep_input, run_experiment
from pipelines.experiments import build_experiment
from pipelines.settings import load_settings
from pipelines.workspaces import adopt_cohort
from tests.helpers.bundles import untrained_bundle

PAIR = "0123456789abcdef"
IMAGE = "registry.example/covidctnet-python@sha256:" + "0123456789abcdef" * 4


def test_it_fetches_the_cases_and_compares_and_trains_nothing(tmp_path: Path) -> None:
    plan = ExperimentPlan(
        name="readers", config=load_profile("smoke"), bundle="/shared/b", pair_id=PAIR, readers="/shared/r.csv"
    )
    path = tmp_path / "readers.yaml"
    compile_pipeline(
        load_settings("cluster", image=IMAGE), path, build=lambda settings: build_experiment(plan, settings)
    )
    compiled: dict[str, Any] = next(yaml.safe_load_all(path.read_text("utf-8")))
    tasks = compiled["root"]["dag"]["tasks"]
    assert set(tasks) == {"fetch-dataset", "compare-readers"}
    inputs = tasks["compare-readers"]["inputs"]["parameters"]
    constants = {name: inputs[name]["runtimeValue"]["constant"] for name in ("bundle", "pair_id", "readers")}
    assert constants == {"bundle": "/shared/b", "pair_id": PAIR, "readers": "/shared/r.csv"}


@pytest.mark.slow
@pytest.mark.long
def test_a_run_uses_again_what_is_finished_and_sees_other_answers(tmp_path: Path) -> None:
    cohort, workspace, output = tmp_path / "cohort", tmp_path / "workspace", tmp_path / "readers"
    make_reader_example(cohort, load_profile("smoke").phantom, workers=1)
    untrained_bundle(tmp_path / "bundle")
    bundle = load_bundle(tmp_path / "bundle")
    version = adopt_cohort(workspace, cohort)

    def run(readers: Path) -> tuple[list[str], Any]:
        reused: list[str] = []
        plan = ExperimentPlan(
            name="readers",
            config=bundle.config,
            bundle=str(bundle.folder),
            pair_id=bundle.pair_id,
            readers=keep_input(workspace, readers),
        )
        result = run_experiment(workspace, plan, version, load_settings("local"), output=output, on_reuse=reused.append)
        return reused, result

    reused, first = run(cohort / READERS_FILE)
    assert not reused
    assert any("does not record which patients" in statement.text for statement in first.statements)
    reused, again = run(cohort / READERS_FILE)
    assert reused == ["fetch dataset", "compare readers"]
    assert again.tables == first.tables
    changed = tmp_path / "changed.csv"
    shutil.copyfile(cohort / READERS_FILE, changed)
    changed.write_text(changed.read_text().replace("Covid-19", "CAP", 1))
    reused, other = run(changed)
    assert "compare readers" not in reused
    assert other.tables != first.tables
