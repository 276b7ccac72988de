import numpy as np
import pytest

from covidctnet.bundle import Calibration
from covidctnet.config import load_profile
from covidctnet.errors import BundleError, ExperimentError, PromotionError
from covidctnet.evaluation.calibration import apply_temperature
from covidctnet.experiments.clinical import ClinicalTable, fit_clinical_head
from covidctnet.experiments.train_fold import calibrate_answers, with_unit_spread
from covidctnet.networks import build_classifier
from covidctnet.networks.saving import export_classifier, load_classifier, load_clinical_classifier
from covidctnet.phantom.demographics import write_demographics
from tests.helpers.experiments import make_case

HEAD = "patient,sex,age_band\n"


def table(tmp_path, text):
    path = tmp_path / "demographics.csv"
    path.write_text(HEAD + text)
    return ClinicalTable.load(path)


def test_inputs_of_a_patient_and_of_one_who_is_unknown(tmp_path):
    found = table(tmp_path, "p,F,40-60\nq,M,70+\nr,,\n")
    cases = [make_case(n, 0, patient=patient) for n, patient in enumerate("pqrs")]
    assert found.inputs(cases).tolist() == [[0, 1, 1, 0], [1.5, 1, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_a_wrong_table_is_refused(tmp_path):
    with pytest.raises(ExperimentError, match="an age band is written as 45-64"):
        table(tmp_path, "p,F,old\n")
    with pytest.raises(PromotionError, match=r"there is no absent\.csv"):
        ClinicalTable.load(tmp_path / "absent.csv")


def draw(count, *, informative):
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 3
    raw = rng.dirichlet(np.ones(3), size=count)
    sex = labels == 1 if informative else rng.random(count) < 0.5
    inputs = np.stack([np.zeros(count), np.zeros(count), sex, ~sex], axis=1).astype(np.float32)
    return raw, labels.tolist(), inputs


def test_what_tells_the_class_is_learnt_and_what_tells_nothing_is_not():
    for informative, gain in ((True, 0.2), (False, 0.02)):
        raw, labels, inputs = draw(300, informative=informative)
        head = fit_clinical_head(raw, labels, inputs)
        joined = head.join(raw, inputs)

        def loss(values, labels=labels):
            fitted: Calibration = calibrate_answers(values, labels)
            shares = apply_temperature(values, fitted.temperature)
            return -np.log(shares[np.arange(len(labels)), labels]).mean()

        better = loss(raw) - loss(joined)
        assert (better > gain) if informative else (better < gain)


def test_unknown_age_and_sex_leave_the_images_answer_as_it_is():
    raw, labels, inputs = draw(60, informative=True)
    head = fit_clinical_head(raw, labels, inputs)
    assert head.join(raw, np.zeros_like(inputs)) == pytest.approx(raw)


def test_the_second_signature_computes_the_head_and_the_first_stays_as_it_is(tmp_path):
    config = load_profile("smoke")
    model = build_classifier(config.classifier, config.residual.shape, seed=0)
    raw, labels, inputs = draw(30, informative=True)
    head = fit_clinical_head(raw, labels, inputs)
    export_classifier(model, tmp_path / "plain", config.residual.shape)
    export_classifier(model, tmp_path / "both", config.residual.shape, clinical=head)
    stacks = np.random.default_rng(1).normal(size=(2, *config.residual.shape, 1)).astype(np.float32)
    alone = load_classifier(tmp_path / "plain")(stacks)
    assert load_classifier(tmp_path / "both")(stacks) == pytest.approx(alone, abs=1e-6)
    both = load_clinical_classifier(tmp_path / "both")
    assert both(stacks, inputs[:2]) == pytest.approx(head.join(alone, inputs[:2]), abs=1e-5)
    assert not np.allclose(both(stacks, inputs[:2]), alone, atol=1e-3)
    with pytest.raises(BundleError, match="cannot be loaded"):
        load_clinical_classifier(tmp_path / "plain")


def test_phantom_demographics_do_not_depend_on_the_class_and_are_the_same_again(tmp_path):
    patients = [f"patient-{number}" for number in range(300)]
    for name in "ab":
        write_demographics(tmp_path / name, patients, 0)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    rows = list(ClinicalTable.load(tmp_path / "a").rows.values())
    assert 0.4 < np.mean([sex == "F" for sex, _ in rows if sex]) < 0.6
    assert 0 < sum(not sex for sex, _ in rows) < 60


def test_every_arm_is_scaled_to_unit_spread():
    rng = np.random.default_rng(0)
    stacks = [rng.normal(0.3, 0.05, size=(8, 8, 8)).astype(np.float32) for _ in range(4)]
    gain = with_unit_spread(load_profile("smoke"), stacks).classifier.input_gain
    assert np.std(gain * np.stack(stacks)) == pytest.approx(1.0, abs=1e-3)
