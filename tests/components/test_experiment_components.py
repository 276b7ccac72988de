"""The components of experiments through their Python functions: from a phantom cohort to results."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from covidctnet.bundle import load_bundle
from covidctnet.config import (
    ClassifierConfig,
    Config,
    DenoiserConfig,
    EvaluationConfig,
    PhantomConfig,
    ResidualConfig,
    load_profile,
)
from covidctnet.errors import BundleError, ExperimentError
from covidctnet.experiments.answers import load_answers
from covidctnet.experiments.arms import BOTH, DENOISER, NEITHER, NOISE
from covidctnet.experiments.options import ExperimentOptions
from covidctnet.experiments.results import load_result
from covidctnet.experiments.train_fold import WITH_CLINICAL
from covidctnet.splits import Ledger
from integrations.steps.experiments import open_shards
from integrations.tracking import TrackingSettings
from pipelines.experiment_run import experiment_parameters, phantom_config, phantom_demographics
from pipelines.experiments import ExperimentPlan
from pipelines.settings import load_settings
from pipelines.workspaces import make_demo_data
from tests.helpers.bundles import untrained_bundle
from tests.helpers.components_run import ComponentsRun

pytestmark = pytest.mark.slow

OPTIONS = ExperimentOptions(cases=5, denoiser_controls=3, folds=3, validation=0.2, test=0.2)


def tiny() -> Config:
    smoke = load_profile("smoke")
    return replace(
        smoke,
        phantom=PhantomConfig(matrix=64, slice_spacing_mm=10.0),
        denoiser=DenoiserConfig(
            filters=(4, 4, 8, 8), dropout=0.0, learning_rate=5e-3, batch_size=16, warm_start_epochs=0, epochs=2,
            slices_per_epoch=64,
        ),
        residual=ResidualConfig(shape=(18, 18, 18), batch_size=8),
        classifier=ClassifierConfig(filters=(2, 4), dense_units=4, learning_rate=1e-3, batch_size=4, epochs=2),
        evaluation=EvaluationConfig(bootstrap_samples=50, reference_blur_px=(2.0,)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ComponentsRun:
    """All that the experiments share, with every arm and fold answered."""
    workspace = tmp_path_factory.mktemp("experiments")
    config = phantom_config(tiny(), OPTIONS)
    version = make_demo_data(workspace, config)
    plan = ExperimentPlan(name="ablation", config=config, options=OPTIONS, seeds=(0,))
    parameters = experiment_parameters(workspace, plan, version, load_settings("local"))
    run = ComponentsRun(workspace=workspace, parameters=parameters)
    options, state = {"options": parameters["options"]}, {"state": parameters["state"]}
    found = run.artifacts
    run.call("fetch_dataset", repository=str(workspace), endpoint="", store=parameters["store"])
    run.call("select_cases", cohort=found["cohort"], store=parameters["store"], cases=5, denoiser_controls=3)
    cases = {"cohort": found["selected"], "splits": found["splits"]}
    shards = run.call("validate_scanner_metadata", **cases, policy="", cases_per_shard=9)
    for shard in shards:
        run.call("preprocess", shard, **cases, validated=found["validated"], shard=shard)
    run.call("train_denoiser", records=run.shards("records"), healthy=run.shards("healthy"), **state)
    for shard in shards:
        run.call("extract_residuals", shard, slices=found[f"slices-{shard}"], denoiser=found["denoiser"])
    join(run, "residuals")
    for noisy in (False, True):
        for shard in shards:
            run.call("stack_slices", shard, slices=found[f"slices-{shard}"], with_noise=noisy)
        join(run, "residuals", "noisy" if noisy else "plain")
    join(run, "records")
    join(run, "slices")
    for number, (arm, stacks, training) in enumerate(
        [
            (NEITHER, "plain", "plain"),
            (NOISE, "plain", "noisy"),
            (DENOISER, "residuals", "residuals"),
            (BOTH, "residuals", "residuals"),
        ]
    ):
        train(run, number, arm, "split", stacks, training)
    train(run, 4, BOTH, "split", "residuals", "residuals", clinical=phantom_demographics(workspace, 0))
    prepared = {"records": found["joined-records"], "slices": found["joined-slices"]}
    run.call("train_patches", **prepared, fold="split", **options, **state)
    return run


def join(run: ComponentsRun, name: str, called: str = "") -> None:
    run.call("join_shards", called or name, parts=run.shards(name))


def train(run: ComponentsRun, number: int, arm: str, fold: str, stacks: str, training: str, clinical: str = "") -> None:
    found = run.artifacts
    run.call(
        "train_fold", number, records=found["joined-records"], stacks=found[f"joined-{stacks}"],
        training=found[f"joined-{training}"], fold=fold, arm=arm, clinical=clinical,
        options=run.parameters["options"], state=run.parameters["state"],
    )  # fmt: skip


def conclude(run: ComponentsRun, experiment: str, *numbers: str) -> Any:
    found = run.artifacts
    run.call(
        "conclude", experiment, cohort=found["selected"], splits=found["splits"],
        answers=[found[f"answers{number}"] for number in numbers], experiment=experiment, seeds="0",
    )  # fmt: skip
    return load_result(run.path(f"result-{experiment}"))


def test_chosen_patients_are_as_many_as_asked_and_the_denoisers_are_apart(made: ComponentsRun) -> None:
    rows = Ledger.load(made.path("splits") / "splits.csv").rows
    assert sum(row.split == "denoiser" for row in rows) == 3
    assert len(rows) == 18
    names = {case["case"]["patient"] for path in made.shards("records") for case in read(Path(path.path))}
    assert names == {row.patient for row in rows}


def read(folder: Path) -> Any:
    return json.loads((folder / "cases.json").read_text())


def test_the_ablation_compares_four_arms_on_the_same_patients(made: ComponentsRun) -> None:
    result = conclude(made, "ablation", "-0", "-1", "-2", "-3")
    assert [row[0] for row in result.tables[0].rows] == [NEITHER, NOISE, DENOISER, BOTH]
    assert result.cases == {"Control": 5, "Covid-19": 5, "CAP": 5}
    assert result.simulated
    assert {figure.name for figure in result.figures} == {"learning", "confusion", "seeds", "differences"}
    tested = [{outcome.case for outcome in load_answers([made.path(f"answers-{n}")])[0].test} for n in range(4)]
    assert all(cases == tested[0] for cases in tested)
    lines = (made.path("result-ablation") / result.records["answers"]).read_text().splitlines()
    assert len(lines) == 1 + 4 * len(tested[0])


def test_noise_changes_what_is_trained_on_and_nothing_that_is_answered(made: ComponentsRun) -> None:
    plain, noisy = (load_answers([made.path(f"answers-{number}")])[0] for number in (0, 1))
    assert plain.history != noisy.history
    assert [outcome.case for outcome in plain.test] == [outcome.case for outcome in noisy.test]


def test_age_and_sex_are_a_second_answer_of_the_same_network(made: ComponentsRun) -> None:
    image, both = load_answers([made.path("answers-4")])
    assert (image.arm, both.arm) == (BOTH, WITH_CLINICAL)
    assert image.history == both.history
    assert both.parameters == image.parameters + 12
    result = conclude(made, "clinical", "-4")
    assert any("drawn without regard to their class" in statement.text for statement in result.statements)


def test_the_patch_baseline_answers_for_the_same_patients(made: ComponentsRun) -> None:
    result = conclude(made, "patches", "", "-3")
    assert [row[0] for row in result.tables[0].rows] == ["patches of lung", BOTH]


def test_a_training_that_was_done_is_not_done_again(made: ComponentsRun, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_answers([made.path("answers-3")])
    monkeypatch.setattr("covidctnet.training.loop._train_epoch", None)
    train(made, 5, BOTH, "split", "residuals", "residuals")
    assert load_answers([made.path("answers-5")]) == first


def test_folds_brands_and_sites_are_named_answered_and_concluded(made: ComponentsRun) -> None:
    names = made.call(
        "list_folds", records=made.artifacts["joined-records"], schemes="folds", options=made.parameters["options"]
    )
    assert names == ["fold 1 of 3", "fold 2 of 3", "fold 3 of 3"]
    for number, name in enumerate([*names, "site phantom-1", "brand GE"], 10):
        train(made, number, BOTH, name, "residuals", "residuals")
    crossval = conclude(made, "crossval", "-10", "-11", "-12")
    assert {table.name for table in crossval.tables} == {"pooled", "folds", "spread", "calibration", "threshold"}
    assert len(crossval.tables[1].rows) == 3
    scanners = conclude(made, "scanners", *(f"-{number}" for number in range(10, 15)))
    brands = next(table for table in scanners.tables if table.name == "brands")
    assert [row[0] for row in brands.rows] == ["GE", "all"]
    with pytest.raises(ExperimentError, match="no fold 'half'"):
        train(made, 20, BOTH, "half", "residuals", "residuals")


def test_localisation_measures_all_but_the_denoisers_own(made: ComponentsRun) -> None:
    found = made.artifacts
    made.call(
        "localise", "localisation", cohort=found["selected"], splits=found["splits"],
        denoiser=found["denoiser"], masks="", slice_labels="",
    )  # fmt: skip
    result = load_result(made.path("result-localisation"))
    assert sum(result.cases.values()) == 15
    assert result.tables[0].rows[0][0] == "denoiser"


def test_a_bundles_denoiser_is_taken_only_where_it_is_the_one_that_was_named(
    made: ComponentsRun, tmp_path: Path
) -> None:
    bundle = untrained_bundle(tmp_path / "bundle")
    made.call("adopt_denoiser", 0, bundle=str(bundle.folder), pair_id=bundle.pair_id)
    network = made.path("denoiser-0") / "network"
    assert (network / "denoiser.keras").read_bytes() == (bundle.folder / "denoiser.keras").read_bytes()
    with pytest.raises(BundleError, match=f"holds bundle {load_bundle(bundle.folder).pair_id}"):
        made.call("adopt_denoiser", 1, bundle=str(bundle.folder), pair_id="0" * 16)


def test_results_are_on_record_in_mlflow_without_answers_by_patient(made: ComponentsRun) -> None:
    from integrations.tracking_client import make_client

    settings = TrackingSettings(**json.loads(made.parameters["tracking"]))
    client = make_client(settings)
    experiment = client.get_experiment_by_name("covidctnet-experiments")
    runs = client.search_runs([experiment.experiment_id], filter_string="tags.`covidctnet.experiment` = 'ablation'")
    assert runs
    names = {artifact.path for artifact in client.list_artifacts(runs[0].info.run_id)}
    assert "figures" in names
    assert not any(name.endswith(".csv") for name in names)


def test_joined_shards_are_read_in_their_order(made: ComponentsRun) -> None:
    parts = open_shards(str(made.path("joined-records")))
    assert [read(part) for part in parts] == [read(Path(shard.path)) for shard in made.shards("records")]
