import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from sklearn.metrics import f1_score, roc_auc_score

from covidctnet.cohort import Case, Cohort
from covidctnet.config import EvaluationConfig, PhantomConfig, load_profile
from covidctnet.errors import ExperimentError
from covidctnet.experiments.build import About, ResultFolder, describe_cases
from covidctnet.experiments.localisation import conclude_localisation
from covidctnet.experiments.localisation_metrics import histogram_auc, measure_method, slice_auc
from covidctnet.experiments.localise import BINS, DENOISER, HU, Truth, keep_examples, localise_cases, method_names
from covidctnet.experiments.results import load_result
from covidctnet.experiments.slice_labels import SliceLabels
from covidctnet.labels import COVID, LABELS
from covidctnet.phantom.cohort import make_phantom_cohort
from covidctnet.phantom.truth import load_truth
from covidctnet.reading import read_volume

CONFIG = replace(load_profile("smoke"), evaluation=EvaluationConfig(bootstrap_samples=100, reference_blur_px=(2.0,)))
CALIBRATED = EvaluationConfig(bootstrap_samples=100)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Cohort:
    sizes = PhantomConfig(controls=2, covid=3, cap=2, matrix=64, slice_spacing_mm=10.0)
    return make_phantom_cohort(tmp_path_factory.mktemp("cohort"), sizes, 0)


def clean(batch):
    """A denoiser that cannot draw anything denser than lung: what is denser stays in the residual."""
    return np.minimum(batch, np.float32(0.2))


@pytest.fixture(scope="module")
def measured(cohort):
    return keep_examples(localise_cases(cohort, cohort.cases, clean, CONFIG, Truth()))


def test_areas_of_histograms_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    scores = np.r_[rng.normal(0.2, 0.2, 500), rng.normal(0.0, 0.2, 2000)].clip(-0.99, 0.99)
    truth = np.r_[np.ones(500, bool), np.zeros(2000, bool)]
    counts = [np.histogram(scores[truth == side], bins=BINS, range=(-1, 1))[0] for side in (True, False)]
    assert histogram_auc(*counts) == pytest.approx(roc_auc_score(truth, scores), abs=1e-3)


def test_dice_at_the_best_threshold_is_that_of_scikit_learn(measured):
    _, images = measured
    image = next(image for image in images if image.label == COVID)
    found = measure_method([image.measured], HU, CALIBRATED, 0)
    marked = (image.slices >= found.threshold)[image.lungs]
    assert found.best_dice == pytest.approx(f1_score(image.infection[image.lungs], marked), abs=2e-3)
    # One patient has no other half whose threshold could be used.
    assert found.dice.value is None


def test_slices_count_as_one_area_over_all_patients(measured):
    cases, _ = measured
    truth = np.concatenate([case.slices.infected for case in cases])
    scores = np.concatenate([case.slices.scores[DENOISER] for case in cases])
    assert slice_auc(cases, DENOISER, CALIBRATED, 0).value == pytest.approx(roc_auc_score(truth, scores))
    same = slice_auc(cases, DENOISER, CALIBRATED, 0, less=DENOISER)
    assert same.value == 0.0


def test_all_of_the_infection_counts_and_controls_have_none(measured):
    cases, images = measured
    for case in cases:
        voxels = case.infected[DENOISER].sum()
        assert (voxels > 0) == (LABELS[case.label] != "Control")
        assert case.regions[DENOISER].label == case.label
    assert [image.label for image in images] == [0, 1, 2]


def test_the_result_has_every_method_and_says_which_was_better(cohort, measured, tmp_path):
    about = About(
        experiment="localisation",
        config=CONFIG,
        seeds=(0,),
        data_version="d",
        code_version="c",
        **describe_cases(cohort, cohort.cases),
    )
    conclude_localisation(ResultFolder(tmp_path, about), *measured, what="masks")
    result = load_result(tmp_path)
    assert [row[0] for row in result.tables[0].rows] == method_names(CONFIG)
    assert result.simulated
    assert result.cases == {"Control": 2, "Covid-19": 3, "CAP": 2}
    assert "the best of the simple methods" in result.statements[0].text
    assert {figure.name for figure in result.figures} == {"methods", "profiles", "panels"}


def test_marks_in_the_place_of_masks_give_areas_by_slice_alone(cohort, tmp_path):
    rows = ["case,slice_position_mm,infected"]
    for case in cohort.cases:
        truth, volume = load_truth(cohort.truth_path(case.case)), read_volume(cohort.path(case.case), CONFIG.reader)
        rows += [
            f"{case.case},{volume.position_mm((z, 0, 0))[2]},{int(plane.any())}"
            for z, plane in enumerate(truth["infection"])
        ]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(rows) + "\n")
    truth = Truth(masks=tmp_path, labels=SliceLabels.load(table))
    cases, _ = keep_examples(localise_cases(cohort, cohort.cases, clean, CONFIG, truth))
    found = measure_method(cases, DENOISER, CALIBRATED, 0)
    assert found.slice_auc.value is not None
    assert found.voxel_auc.value is found.best_dice is None


def test_a_mask_on_the_series_own_grid_is_the_truth(cohort, tmp_path):
    case = next(case for case in cohort.cases if case.label == "Covid-19")
    volume, inside = read_volume(cohort.path(case.case), CONFIG.reader), load_truth(cohort.truth_path(case.case))
    write_mask(tmp_path / f"{case.case}.nii.gz", inside["infection"], volume)
    given, _ = keep_examples(localise_cases(cohort, [case], clean, CONFIG, Truth(masks=tmp_path)))
    own, _ = keep_examples(localise_cases(cohort, [case], clean, CONFIG, Truth()))
    assert (given[0].infected[DENOISER] == own[0].infected[DENOISER]).all()
    write_mask(tmp_path / f"{case.case}.nii.gz", inside["infection"][1:], volume)
    with pytest.raises(ExperimentError, match="draw it on the series"):
        keep_examples(localise_cases(cohort, [case], clean, CONFIG, Truth(masks=tmp_path)))


def write_mask(path: Path, mask, volume) -> None:
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing([float(step) for step in volume.spacing_mm[::-1]])
    sitk.WriteImage(image, str(path))


def test_a_case_without_any_truth_is_refused(cohort, tmp_path):
    with pytest.raises(ExperimentError, match="give --masks or --slice-labels"):
        keep_examples(localise_cases(cohort, cohort.cases[:1], clean, CONFIG, Truth(masks=tmp_path)))


@pytest.mark.real_data
def test_real_series_are_measured_by_marked_slices(shared_data: Path, tmp_path: Path) -> None:
    names = {"control-a": "Control", "covid-a": "Covid-19", "cap-a": "CAP"}
    (tmp_path / "cases").mkdir()
    cases, rows = [], ["case,slice_position_mm,infected"]
    for name, label in names.items():
        source = shared_data / "series" / f"{name}.zip"
        (tmp_path / "cases" / source.name).symlink_to(source)
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        cases.append(Case(case=name, patient=name, site="a", label=label, scanner="S", kernel="B", sha256=digest))
        volume = read_volume(source, CONFIG.reader)
        count = len(volume.hu)
        marked = range(count // 4, count // 2) if label != "Control" else range(0)
        rows += [f"{name},{volume.position_mm((z, 0, 0))[2]},{int(z in marked)}" for z in range(count)]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(rows) + "\n")
    cohort = Cohort(folder=tmp_path, cases=tuple(cases))
    truth = Truth(labels=SliceLabels.load(table))
    measured, examples = keep_examples(localise_cases(cohort, cases, clean, CONFIG, truth))
    about = About(
        experiment="localisation",
        config=CONFIG,
        seeds=(0,),
        data_version="d",
        code_version="c",
        **describe_cases(cohort, cases),
    )
    result = conclude_localisation(ResultFolder(tmp_path / "result", about), measured, examples, what="marks")
    assert not result.simulated
    assert any("3 real patients prove nothing" in statement.text for statement in result.statements)
    area = result.tables[0].rows[0][1]
    assert isinstance(area, float)
    assert 0.0 < area < 1.0
    assert [case.slices.infected.any() for case in measured] == [False, True, True]
