"""Every component through its Python function, on real temporary artifacts."""

import csv
import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import yaml
from kfp import dsl

from components.document import load_component
from covidctnet.bundle import load_bundle
from covidctnet.errors import CohortError, DataStoreError, PromotionError, TrackingError
from covidctnet.promotion.holdout_use import read_uses
from covidctnet.promotion.moves import check_decision
from covidctnet.promotion.policy import Policy
from covidctnet.promotion.reports import load_report
from covidctnet.splits import Ledger
from integrations.steps.cohorts import validate_scanner_metadata
from integrations.steps.context import RunContext
from integrations.steps.gate import NO_CHAMPION, decision_folder, judge
from tests.helpers.components_run import ComponentsRun
from tests.helpers.promotion import make_policy

ROOT = Path(__file__).parents[2]


def test_fetch_dataset_brings_the_version_and_keeps_its_table(components_run: ComponentsRun) -> None:
    cohort = components_run.cohort
    cohort.verify()
    assert len(cohort.cases) == 16
    assert cohort.folder.name == components_run.parameters["data_version"]
    table = (components_run.path("cohort") / "cohort.csv").read_text()
    assert table == (components_run.workspace / "data" / "cohort.csv").read_text()


def test_fetch_dataset_refuses_a_version_that_is_nowhere(components_run: ComponentsRun, tmp_path: Path) -> None:
    with pytest.raises(DataStoreError):
        load_component("fetch_dataset").python_func(
            cohort=dsl.Dataset(uri=str(tmp_path / "cohort")), repository=components_run.parameters["repository"],
            endpoint="", store=str(tmp_path / "store"), **{**components_run.context, "data_version": "0" * 32 + ".dir"},
        )  # fmt: skip
    assert not (tmp_path / "cohort").exists()


def test_assign_splits_keeps_the_ledger_beyond_the_run(components_run: ComponentsRun) -> None:
    rows = Ledger.load(components_run.path("splits") / "splits.csv").rows
    assert rows == Ledger.load(Path(components_run.parameters["ledger"])).rows
    assert len({row.patient for row in rows}) == len(rows) == 16
    assert {row.label for row in rows if row.split == "denoiser"} == {"Control"}


def test_validate_scanner_metadata_reports_and_cuts_all_cases_into_shards(components_run: ComponentsRun) -> None:
    folder = components_run.path("validated")
    shards = json.loads((folder / "shards.json").read_text())
    assert components_run.returned["validate_scanner_metadata"] == [0, 1]
    assert sorted(name for shard in shards for name in shard) == [case.case for case in components_run.cohort.cases]
    with (folder / "metadata.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 16
    assert "<html" in components_run.path("validate_scanner_metadata.report").read_text().lower()
    assert components_run.artifacts["validate_scanner_metadata.metrics"].metadata["cases"] == 16


def test_validate_scanner_metadata_fails_what_the_policy_fails(components_run: ComponentsRun, tmp_path: Path) -> None:
    policy = yaml.safe_load((ROOT / "integrations" / "metadata_policy.yaml").read_text())
    policy["cohort"].append(
        {
            "check": "a thousand scanners",
            "expect": "column_values_to_be_between",
            "column": "scanners",
            "min_value": 1000,
            "then": "fail",
        }
    )
    with pytest.raises(CohortError, match="fails its policy: not met: a thousand scanners"):
        validate_scanner_metadata(
            cohort=str(components_run.path("cohort")),
            splits=str(components_run.path("splits")),
            policy=yaml.safe_dump(policy),
            cases_per_shard=100,
            output=str(tmp_path / "validated"),
            html=str(tmp_path / "report.html"),
            metrics=str(tmp_path / "metrics"),
            log_metric=lambda name, value: None,
            run=components_run.context,
        )
    assert (tmp_path / "report.html").is_file()


def test_preprocess_keeps_what_each_later_step_needs_and_no_more(components_run: ComponentsRun) -> None:
    ledger = Ledger.load(components_run.path("splits") / "splits.csv").splits()
    for shard in (0, 1):
        records = json.loads((components_run.path(f"records-{shard}") / "cases.json").read_text())
        splits = {row["case"]["case"]: ledger[row["case"]["patient"]] for row in records}
        assert {row["case"]["case"]: row["split"] for row in records} == splits
        slices = {path.stem for path in components_run.path(f"slices-{shard}").glob("*.npy")}
        assert slices == {name for name, split in splits.items() if split in {"train", "validation"}}
        truths = {path.name.split(".")[0] for path in components_run.path(f"records-{shard}").glob("*.truth.npz")}
        assert truths == {name for name, split in splits.items() if split == "holdout"}
        for path in components_run.path(f"healthy-{shard}").glob("*.aerated.npy"):
            assert np.load(path).shape == np.load(path.with_name(path.name.replace(".aerated", ""))).shape
        assert components_run.returned[f"preprocess-{shard}"] == components_run.artifacts[f"slices-{shard}"].uri


def test_every_output_has_a_file_without_which_the_cache_would_not_find_it(components_run: ComponentsRun) -> None:
    absent = [name for name, artifact in components_run.artifacts.items() if not Path(artifact.path).exists()]
    assert absent == []


def test_gather_shards_gives_back_what_it_waited_for() -> None:
    assert load_component("gather_shards").python_func(addresses=["a", "b"]) == ["a", "b"]


def test_train_denoiser_writes_the_network_its_losses_and_its_state(components_run: ComponentsRun) -> None:
    folder = components_run.path("denoiser")
    histories = json.loads((folder / "histories.json").read_text())
    assert set(histories) == {"warm start", "denoiser"}
    assert len(histories["denoiser"]["loss"]) == 6
    assert (folder / "network" / "denoiser.keras").is_file()
    logged = components_run.artifacts["train_denoiser.metrics"].metadata
    assert logged["denoiser_val_loss"] == histories["denoiser"]["val_loss"][-1]
    assert list(Path(components_run.parameters["state"]).glob("denoiser-*.npz"))


def test_extract_residuals_makes_a_stack_of_every_case(components_run: ComponentsRun) -> None:
    for shard in (0, 1):
        folder = components_run.path(f"residuals-{shard}")
        rows = json.loads((folder / "cases.json").read_text())
        stacks = np.load(folder / "stacks.npy", mmap_mode="r")
        assert stacks.shape == (len(rows), 48, 48, 48)
        assert 0.0 < np.abs(stacks).mean() < 0.5


def test_train_classifier_writes_a_bundle_that_holds_together(components_run: ComponentsRun) -> None:
    bundle = load_bundle(components_run.path("bundle"))
    assert bundle.metrics is None
    assert bundle.data_version == components_run.parameters["data_version"]
    assert bundle.config.name == "smoke"


def test_evaluate_leaves_its_input_alone_and_logs_what_kubeflow_shows(components_run: ComponentsRun) -> None:
    evaluated = load_bundle(components_run.path("evaluated"))
    assert evaluated.pair_id == load_bundle(components_run.path("bundle")).pair_id
    summary = json.loads((components_run.path("results") / "summary.json").read_text())
    assert evaluated.metrics is not None
    assert evaluated.metrics["metrics"] == summary["metrics"]
    shown = components_run.artifacts["classification"].metadata
    rows = [row["row"] for row in shown["confusionMatrix"]["rows"]]
    assert rows == summary["metrics"]["three_class"]["confusion"]
    points = shown["confidenceMetrics"]
    assert (points[0]["falsePositiveRate"], points[-1]["recall"]) == (0.0, 1.0)
    assert all(math.isfinite(point["confidenceThreshold"]) for point in points)
    accuracy = components_run.artifacts["evaluate.metrics"].metadata["three_class_accuracy"]
    assert accuracy == summary["metrics"]["three_class"]["accuracy"]["value"]
    assert components_run.path("evaluate.report").stat().st_size > 50_000


def test_register_makes_one_version_of_the_bundle(components_run: ComponentsRun) -> None:
    assert components_run.returned["register"] == 1
    made = json.loads((components_run.path("registration") / "registration.json").read_text())
    assert made == {"model": "covidctnet", "version": 1}


def test_the_gate_decides_about_a_first_model_and_says_so(components_run: ComponentsRun) -> None:
    folder = components_run.path("decision")
    decision = check_decision(folder)
    assert decision.champion is None
    assert decision.candidate == load_bundle(components_run.path("evaluated")).pair_id
    assert components_run.returned["gate"] is decision.promote
    verdicts = {rule.rule: rule.verdict for rule in decision.rules}
    for rule in ("candidate integrity", "validation", "candidate training patients", "hold-out use"):
        assert verdicts[rule] == "passed", rule
    holdout = {
        row.patient for row in Ledger.load(components_run.path("splits") / "splits.csv").rows if row.split == "holdout"
    }
    assert {case.patient for case in load_report(folder / "candidate.json").cases} == holdout
    assert components_run.artifacts["gate.metrics"].metadata["promote"] == float(decision.promote)
    assert components_run.path("gate.report").read_text() == (folder / "decision.html").read_text()
    ledger = components_run.parameters["ledger"]
    key = RunContext.parse(components_run.context).run_key
    kept = decision_folder(ledger, key, NO_CHAMPION, decision.policy)
    assert (kept / "decision.json").read_bytes() == (folder / "decision.json").read_bytes()
    (use,) = read_uses(Path(ledger).with_name("holdout-uses.jsonl"))
    assert (use.candidate, use.champion) == (decision.candidate, None)


def test_the_decision_is_kept_with_the_run_and_its_reports_are_not(components_run: ComponentsRun) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(json.loads(components_run.parameters["tracking"])["uri"])
    experiment = client.get_experiment_by_name("covidctnet").experiment_id
    (step,) = client.search_runs([experiment], "tags.`covidctnet.step` = 'gate'")
    names = {item.path for item in client.list_artifacts(step.info.run_id, "decision")}
    assert names == {"decision/decision.json", "decision/decision.html"}
    assert "covidctnet.withheld" not in step.data.tags
    assert step.data.tags["covidctnet.candidate_version"] == "1"
    assert step.data.params["champion"] == NO_CHAMPION


def judged_against(run: ComponentsRun, folder: Path, champion: str, policy: Policy | None = None) -> bool:
    """The gate once more, with another champion; its record of uses is beside a ledger of its own."""
    limits = json.dumps(asdict(policy)) if policy else run.parameters["gate_policy"]
    return judge(
        **{name: str(run.path(name)) for name in ("cohort", "splits", "validated", "evaluated", "registration")},
        ledger=str(folder / "splits.csv"), champion=champion, policy=limits,
        output=str(folder / "decision"), html=str(folder / "page.html"), metrics=str(folder / "metrics"),
        log_metric=lambda name, value: None, run=run.context,
    )  # fmt: skip


def test_the_gate_compares_with_the_champion_on_the_same_holdout(components_run: ComponentsRun, tmp_path: Path) -> None:
    # The only model that is registered: it is compared with itself, through the registry.
    champion = load_bundle(components_run.path("evaluated")).pair_id
    # A hold-out of three patients is enough for this policy alone.
    policy = make_policy(enough={"covid_patients": 1, "other_patients": 1}, bootstrap_samples=100)
    promote = judged_against(components_run, tmp_path, champion, policy)
    decision = check_decision(tmp_path / "decision")
    assert (decision.champion, decision.promote) == (champion, promote)
    paired = [rule for rule in decision.rules if rule.rule.startswith("non-inferior") and rule.value is not None]
    assert paired
    assert {(rule.value, rule.verdict) for rule in paired} == {(0.0, "passed")}
    assert {rule.rule for rule in decision.rules} >= {
        "champion integrity",
        "champion training patients",
        "same hold-out",
    }


def test_the_gate_knows_no_champion_that_is_not_named_or_not_registered(
    components_run: ComponentsRun, tmp_path: Path
) -> None:
    with pytest.raises(PromotionError, match="no champion is named"):
        judged_against(components_run, tmp_path, "")
    with pytest.raises(TrackingError, match="bundle 0123456789abcdef is not registered"):
        judged_against(components_run, tmp_path, "0123456789abcdef")
    assert not (tmp_path / "decision" / "decision.json").exists()
    assert not (tmp_path / "holdout-uses.jsonl").exists()
