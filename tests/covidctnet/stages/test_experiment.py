"""The whole method in the smoke profile: seconds, real files, nothing replaced."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from covidctnet.bundle import load_bundle
from covidctnet.cohort import Cohort
from covidctnet.config import AnswerConfig, Config, load_profile
from covidctnet.distribution import study_statistics
from covidctnet.errors import CohortError
from covidctnet.evaluation.outcomes import CaseOutcome
from covidctnet.experiment import run_demo, run_experiment
from covidctnet.labels import LABELS
from covidctnet.predictor import Predictor
from covidctnet.reading import read_volume
from covidctnet.splits import Ledger
from covidctnet.stages.evaluate_holdout import HoldoutResult
from covidctnet.stages.preprocess_cohort import preprocess_cohort
from covidctnet.stages.write_results import cohort_notes, judgement_notes, learning_notes

ALWAYS = AnswerConfig(max_out_of_distribution=1e6)
"""Few studies train the smoke profile, so the range that they span is narrow."""


@pytest.fixture(scope="module")
def smoke() -> Config:
    return load_profile("smoke")


@pytest.fixture(scope="module")
def run(smoke: Config, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], list[str]]:
    output = tmp_path_factory.mktemp("demo")
    stages: list[str] = []
    summary = run_demo(smoke, output, on_progress=lambda stage, done, total: stages.append(stage))
    return output, summary, stages


def test_the_demo_leaves_what_it_promises(run: tuple[Path, dict[str, Any], list[str]]) -> None:
    output, summary, stages = run
    assert json.loads((output / "summary.json").read_text()) == summary
    assert (output / "report.html").stat().st_size > 50_000
    assert len(list((output / "figures").glob("*.png"))) >= 6
    assert summary["data_version"] == Cohort.load(output / "cohort").version
    assert summary["seconds"]["total"] == pytest.approx(
        sum(value for name, value in summary["seconds"].items() if name != "total"), abs=0.5
    )
    order = [
        "make phantoms",
        "preprocess",
        "train warm start",
        "train denoiser",
        "extract residuals",
        "train classifier",
        "evaluate",
    ]
    assert list(dict.fromkeys(stages)) == order


def test_metrics_are_in_the_bundle_and_measured_through_it(run: tuple[Path, dict[str, Any], list[str]]) -> None:
    output, summary, _ = run
    bundle = load_bundle(output / "bundle")
    assert bundle.pair_id == summary["pair_id"]
    assert bundle.metrics is not None
    assert bundle.metrics["metrics"] == summary["metrics"]
    assert {"denoiser", "mean lung", "Gaussian blur 2 px"} <= {row["method"] for row in summary["residual_contrast"]}


def test_no_patient_is_in_two_splits_and_the_denoiser_sees_only_controls(
    run: tuple[Path, dict[str, Any], list[str]],
) -> None:
    rows = Ledger.load(run[0] / "splits.csv").rows
    assert len({row.patient for row in rows}) == len(rows) == 16
    assert {row.label for row in rows if row.split == "denoiser"} == {"Control"}


def test_arrays_and_residuals_of_training_equal_those_of_the_predictor_to_the_bit(
    run: tuple[Path, dict[str, Any], list[str]], smoke: Config, tmp_path: Path
) -> None:
    from covidctnet.networks.saving import load_denoiser
    from covidctnet.stages.extract_residuals import extract_residuals

    output = run[0]
    cohort = Cohort.load(output / "cohort")
    prepared = preprocess_cohort(replace(cohort, cases=cohort.cases[:5]), smoke, tmp_path)
    stacks, statistics = extract_residuals(
        prepared, load_denoiser(output / "bundle", smoke.residual), smoke, tmp_path / "residuals.npy"
    )
    predictor = Predictor.load(output / "bundle")
    for case, stack, measured in zip(prepared, stacks, statistics, strict=True):
        seen = predictor.examine(read_volume(cohort.path(case.case.case), smoke.reader))
        np.testing.assert_array_equal(case.slices(), seen.slices)
        np.testing.assert_array_equal(stack, seen.stack)
        assert measured == study_statistics(seen.slices, seen.slices - seen.denoised)
        # What training saw on disk is what it was computed from.
        np.testing.assert_array_equal(case.slices(), np.load(output / "work" / "arrays" / f"{case.case.case}.npy"))


def test_an_answer_names_its_versions_and_sums_to_one(run: tuple[Path, dict[str, Any], list[str]]) -> None:
    output, summary, _ = run
    cohort = Cohort.load(output / "cohort")
    volume = read_volume(cohort.path(cohort.cases[0].case))
    answer = Predictor.load(output / "bundle", policy=ALWAYS).predict(volume)
    assert sum(answer.probabilities.values()) == pytest.approx(1.0, abs=1e-5)
    assert answer.label == max(answer.probabilities, key=lambda name: answer.probabilities[name])
    assert answer.covid_positive == (answer.probabilities["Covid-19"] >= answer.covid_threshold)
    assert (answer.pair_id, answer.data_version) == (summary["pair_id"], summary["data_version"])
    assert json.loads(answer.to_json())["scanner"] == cohort.cases[0].scanner
    assert not any("was not in the training data" in warning for warning in answer.warnings)


def test_what_training_never_saw_is_warned_of(run: tuple[Path, dict[str, Any], list[str]]) -> None:
    output = run[0]
    cohort = Cohort.load(output / "cohort")
    volume = read_volume(cohort.path(cohort.cases[0].case))
    strange = replace(volume, hu=volume.hu + np.float32(400), scanner=replace(volume.scanner, model="Unheard"))
    answer = Predictor.load(output / "bundle").predict(strange)
    warnings = answer.warnings
    assert any("Unheard was not in the training data" in warning for warning in warnings)
    assert any("mean intensity" in warning for warning in warnings)
    assert any("too unlike the training data to be judged" in warning for warning in warnings)
    assert answer.out_of_distribution > 1.0
    assert (answer.label, answer.covid_positive) == ("cannot be judged", None)
    forced = Predictor.load(output / "bundle", policy=ALWAYS).predict(strange)
    assert forced.label in LABELS
    assert forced.probabilities == answer.probabilities


def test_a_training_study_is_judged_and_lies_inside(run: tuple[Path, dict[str, Any], list[str]]) -> None:
    output = run[0]
    cohort = Cohort.load(output / "cohort")
    trained = next(row.patient for row in Ledger.load(output / "splits.csv").rows if row.split == "train")
    case = next(case for case in cohort.cases if case.patient == trained)
    answer = Predictor.load(output / "bundle").predict(read_volume(cohort.path(case.case)))
    assert answer.out_of_distribution == 0.0
    assert answer.label in LABELS
    assert answer.burden.lung_ml > 1000


def test_a_classifier_from_elsewhere_can_be_injected(run: tuple[Path, dict[str, Any], list[str]]) -> None:
    output = run[0]
    cohort = Cohort.load(output / "cohort")
    seen = []

    def classify(stacks: np.ndarray) -> np.ndarray:
        seen.append(stacks.shape)
        return np.array([[0.1, 0.2, 0.7]], np.float32)

    answer = Predictor.load(output / "bundle", classify=classify, policy=ALWAYS).predict(
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
    run: tuple[Path, dict[str, Any], list[str]], tmp_path: Path
) -> None:
    output = run[0]
    cohort = Cohort.load(output / "cohort")
    ledger = Ledger.load(output / "splits.csv")
    first = next(case for case in cohort.cases if ledger.split_of(case.patient) == "train")
    arguments = [str(output / "bundle"), str(cohort.path(first.case)), str(tmp_path / "stack.npy")]
    subprocess.run([sys.executable, "-c", TRANSFORMER, *arguments], check=True, cwd=Path(__file__).parents[3])
    np.testing.assert_array_equal(np.load(tmp_path / "stack.npy"), np.load(output / "work" / "residuals.npy")[0])


def test_a_changed_cohort_is_refused_before_anything_is_trained(
    run: tuple[Path, dict[str, Any], list[str]], smoke: Config, tmp_path: Path
) -> None:
    cohort = Cohort.load(run[0] / "cohort")
    broken = replace(cohort, cases=tuple(replace(case, sha256="0" * 63 + str(i % 10) if i == 0 else case.sha256)
                                         for i, case in enumerate(cohort.cases)))  # fmt: skip
    with pytest.raises(CohortError, match="1 of 16 zips were changed"):
        run_experiment(broken, smoke, tmp_path)
    assert not (tmp_path / "splits.csv").exists()


def test_a_case_that_the_reader_refuses_is_named_with_the_reason(
    run: tuple[Path, dict[str, Any], list[str]], smoke: Config, tmp_path: Path
) -> None:
    cohort = Cohort.load(run[0] / "cohort")
    strict = replace(smoke, reader=replace(smoke.reader, min_slices=500))
    with pytest.raises(CohortError, match=r"case case-\w+ is refused: no series can be used"):
        preprocess_cohort(replace(cohort, cases=cohort.cases[:1]), strict, tmp_path, workers=1)


def test_notes_count_phantoms_and_real_patients(
    run: tuple[Path, dict[str, Any], list[str]], smoke: Config, tmp_path: Path
) -> None:
    cohort = Cohort.load(run[0] / "cohort")
    prepared = preprocess_cohort(replace(cohort, cases=cohort.cases[:3]), smoke, tmp_path)
    (tmp_path / f"{prepared[0].case.case}.truth.npz").unlink()
    notes = cohort_notes({"train": prepared})
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
