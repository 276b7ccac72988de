"""What the stages made of the smoke profile's phantoms: real files, nothing replaced."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from covidctnet.bundle import load_bundle
from covidctnet.cohort import Cohort
from covidctnet.config import AnswerConfig, Config, load_profile
from covidctnet.distribution import hu_quantiles, input_statistics, study_statistics
from covidctnet.errors import CohortError
from covidctnet.evaluation.outcomes import CaseOutcome
from covidctnet.labels import LABELS
from covidctnet.predictor import Predictor
from covidctnet.reading import read_volume
from covidctnet.splits import Ledger
from covidctnet.stages.evaluate_holdout import HoldoutResult
from covidctnet.stages.extract_residuals import ResidualStacks
from covidctnet.stages.prepared import PreparedCohort
from covidctnet.stages.preprocess_cohort import ShardFolders, count_shards, preprocess_shard, shard_cases
from covidctnet.stages.write_results import cohort_notes, judgement_notes, learning_notes
from tests.helpers.components_run import ComponentsRun

ALWAYS = AnswerConfig(max_out_of_distribution=1e6)
"""Few studies train the smoke profile, so the range that they span is narrow."""


@pytest.fixture(scope="module")
def smoke() -> Config:
    return load_profile("smoke")


@pytest.fixture(scope="module")
def bundle(components_run: ComponentsRun) -> Path:
    return components_run.path("evaluated")


@pytest.fixture(scope="module")
def cohort(components_run: ComponentsRun) -> Cohort:
    return components_run.cohort


@pytest.fixture(scope="module")
def prepared(components_run: ComponentsRun) -> PreparedCohort:
    return PreparedCohort.load(Path(artifact.path) for artifact in components_run.shards("records"))


def test_summary_report_and_figures_are_there(components_run: ComponentsRun) -> None:
    folder = components_run.path("results")
    summary = json.loads((folder / "summary.json").read_text())
    assert len(list((folder / "figures").glob("*.png"))) >= 6
    assert summary["data_version"] == components_run.parameters["data_version"]
    assert {"denoiser", "mean lung", "Gaussian blur 2 px"} <= {row["method"] for row in summary["residual_contrast"]}
    stages = ["validate", "preprocess", "train denoiser", "extract residuals", "train classifier", "total"]
    assert list(summary["seconds"]) == stages
    assert all(value > 0 for value in summary["seconds"].values())


def test_arrays_and_residuals_of_training_equal_those_of_the_predictor_to_the_bit(
    components_run: ComponentsRun, bundle: Path, cohort: Cohort
) -> None:
    residuals = ResidualStacks.load(Path(artifact.path) for artifact in components_run.shards("residuals"))
    slices = {
        path.stem: path for artifact in components_run.shards("slices") for path in Path(artifact.path).glob("*.npy")
    }
    assert set(residuals.stacks) == set(slices)
    predictor = Predictor.load(bundle)
    for name in list(slices)[:5]:
        seen = predictor.examine(read_volume(cohort.path(name), predictor.bundle.config.reader))
        np.testing.assert_array_equal(np.load(slices[name]), seen.slices)
        np.testing.assert_array_equal(residuals.stacks[name], seen.stack)
        assert residuals.statistics[name] == study_statistics(seen.slices, seen.slices - seen.denoised)
        assert residuals.hu_quantiles[name] == hu_quantiles(seen.slices, predictor.bundle.config)


def test_the_bundle_keeps_the_distribution_of_every_input_of_its_training_studies(
    bundle: Path, cohort: Cohort, prepared: PreparedCohort
) -> None:
    predictor = Predictor.load(bundle)
    reference, train = predictor.bundle.reference, prepared.of("train")
    volume = read_volume(cohort.path(train[0].case.case), predictor.bundle.config.reader)
    seen = predictor.examine(volume)
    residual = seen.slices - seen.denoised
    inputs = input_statistics(volume.spacing_mm, seen.slices, residual, predictor.bundle.config)
    assert reference.distributions.keys() == inputs.keys()
    for name, bins in reference.distributions.items():
        assert sum(bins.counts) == len(train)
        assert bins.counts[bins.place(inputs[name])] >= 1, name
    assert reference.scanner_mix is not None
    assert reference.scanner_mix.names == reference.scanners
    assert sum(reference.scanner_mix.counts) == len(train) + len(prepared.of("denoiser"))


def test_an_answer_names_its_versions_and_sums_to_one(bundle: Path, cohort: Cohort) -> None:
    volume = read_volume(cohort.path(cohort.cases[0].case))
    answer = Predictor.load(bundle, policy=ALWAYS).predict(volume)
    assert sum(answer.probabilities.values()) == pytest.approx(1.0, abs=1e-5)
    assert answer.label == max(answer.probabilities, key=lambda name: answer.probabilities[name])
    assert answer.covid_positive == (answer.probabilities["Covid-19"] >= answer.covid_threshold)
    opened = load_bundle(bundle)
    assert (answer.pair_id, answer.data_version) == (opened.pair_id, opened.data_version)
    assert json.loads(answer.to_json())["scanner"] == cohort.cases[0].scanner
    assert not any("was not in the training data" in warning for warning in answer.warnings)


def test_what_training_never_saw_is_warned_of(bundle: Path, cohort: Cohort) -> None:
    volume = read_volume(cohort.path(cohort.cases[0].case))
    strange = replace(volume, hu=volume.hu + np.float32(400), scanner=replace(volume.scanner, model="Unheard"))
    answer = Predictor.load(bundle).predict(strange)
    warnings = answer.warnings
    assert any("Unheard was not in the training data" in warning for warning in warnings)
    assert any("mean intensity" in warning for warning in warnings)
    assert any("too unlike the training data to be judged" in warning for warning in warnings)
    assert answer.out_of_distribution > 1.0
    assert (answer.label, answer.covid_positive) == ("cannot be judged", None)
    forced = Predictor.load(bundle, policy=ALWAYS).predict(strange)
    assert forced.label in LABELS
    assert forced.probabilities == answer.probabilities


def test_a_training_study_is_judged_and_lies_inside(bundle: Path, cohort: Cohort, prepared: PreparedCohort) -> None:
    case = prepared.of("train")[0].case
    answer = Predictor.load(bundle).predict(read_volume(cohort.path(case.case)))
    assert answer.out_of_distribution == 0.0
    assert answer.label in LABELS
    assert answer.burden.lung_ml > 1000


def test_a_classifier_from_elsewhere_can_be_injected(bundle: Path, cohort: Cohort) -> None:
    seen = []

    def classify(stacks: np.ndarray) -> np.ndarray:
        seen.append(stacks.shape)
        return np.array([[0.1, 0.2, 0.7]], np.float32)

    answer = Predictor.load(bundle, classify=classify, policy=ALWAYS).predict(
        read_volume(cohort.path(cohort.cases[0].case))
    )
    assert answer.label == "CAP"
    assert seen == [(1, 48, 48, 48, 1)]


TRANSFORMER = """
import sys
from pathlib import Path
import numpy as np
from covidctnet.predictor import Predictor
from covidctnet.reading import read_volume
classify = lambda stacks: np.array([[0.1, 0.2, 0.7]], np.float32)
stack = Predictor.load(Path(sys.argv[1]), classify=classify).examine(read_volume(Path(sys.argv[2]))).stack
assert not {"tensorflow", "keras"} & set(sys.modules)
np.save(sys.argv[3], stack)
"""


def test_a_transformer_sees_the_residuals_of_training_without_tensorflow(
    components_run: ComponentsRun, bundle: Path, cohort: Cohort, prepared: PreparedCohort, tmp_path: Path
) -> None:
    name = prepared.of("train")[0].case.case
    arguments = [str(bundle), str(cohort.path(name)), str(tmp_path / "stack.npy")]
    subprocess.run([sys.executable, "-c", TRANSFORMER, *arguments], check=True, cwd=Path(__file__).parents[3])
    residuals = ResidualStacks.load(Path(artifact.path) for artifact in components_run.shards("residuals"))
    np.testing.assert_array_equal(np.load(tmp_path / "stack.npy"), residuals.stacks[name])


def test_a_case_that_the_reader_refuses_is_named_with_the_reason(
    components_run: ComponentsRun, cohort: Cohort, smoke: Config, tmp_path: Path
) -> None:
    ledger = Ledger.load(components_run.path("splits") / "splits.csv")
    strict = replace(smoke, reader=replace(smoke.reader, min_slices=500))
    folders = ShardFolders(slices=tmp_path / "slices", healthy=tmp_path / "healthy", records=tmp_path / "records")
    with pytest.raises(CohortError, match=r"case case-\w+ is refused: no series can be used"):
        preprocess_shard(cohort, cohort.cases[:1], ledger, strict, folders, workers=1)
    assert not list(folders.records.iterdir())


def test_shards_hold_every_case_once_and_differ_by_one_at_most(cohort: Cohort) -> None:
    for most in (1, 3, 5, 16, 100):
        count = count_shards(len(cohort.cases), most)
        shards = [shard_cases(cohort.cases, number, count) for number in range(count)]
        assert sorted(case.case for shard in shards for case in shard) == [case.case for case in cohort.cases]
        assert max(map(len, shards)) <= most
        assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_a_case_in_two_shards_is_refused(components_run: ComponentsRun) -> None:
    folder = components_run.path("records-0")
    with pytest.raises(CohortError, match="in two shards"):
        PreparedCohort.load([folder, folder])


def test_notes_count_phantoms_and_real_patients(prepared: PreparedCohort) -> None:
    few = [replace(prepared.cases[0], phantom=False), *prepared.cases[1:3]]
    notes = cohort_notes(few)
    assert notes[0] == "2 of 3 patients are phantoms: nothing here is clinical accuracy."
    assert notes[1].startswith("One real patient proves nothing")


def test_a_classifier_that_only_guesses_is_called_so() -> None:
    assert learning_notes({"classifier": {"val_loss": [1.3, 0.9, 1.2]}}) == []
    assert "learned nothing" in learning_notes({"classifier": {"val_loss": [1.3, 1.0985]}})[0]


def test_a_report_says_how_many_cases_are_not_judged() -> None:
    outcomes = [
        CaseOutcome(
            case=f"c{number}",
            patient="p",
            label=0,
            brand="",
            scanner="",
            probabilities=(1.0, 0.0, 0.0),
            judged=number > 1,
        )
        for number in range(5)
    ]
    (note,) = judgement_notes(HoldoutResult(outcomes=outcomes))
    assert note.startswith("2 of 5 hold-out cases are too unlike the training data")
    assert judgement_notes(HoldoutResult(outcomes=outcomes[2:])) == []
