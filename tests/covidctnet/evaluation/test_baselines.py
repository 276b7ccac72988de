from dataclasses import replace

import numpy as np
import pytest

from covidctnet.config import EvaluationConfig
from covidctnet.errors import CohortError
from covidctnet.evaluation.baselines import (
    CaseDescription,
    fit_baseline,
    fit_baselines,
    lung_density_features,
    metadata_features,
)
from covidctnet.volume import Scanner

CONFIG = EvaluationConfig(bootstrap_samples=200)
SCANNERS = (
    Scanner(manufacturer="SIEMENS", model="SOMATOM Scope", kernel="B41s", slice_thickness_mm=2.0, kvp=120.0),
    Scanner(manufacturer="GE MEDICAL SYSTEMS", model="Revolution", kernel="LUNG"),
    Scanner(manufacturer="Philips", model="Brilliance", kernel="YA", slice_thickness_mm=3.0, kvp=140.0),
)


def describe(count: int, prefix: str, *, by_label: bool, seed: int = 0) -> list[CaseDescription]:
    """Cases whose scanner follows the label, or whose scanners have all labels equally often."""
    rng = np.random.default_rng(seed)
    return [
        CaseDescription(
            case=f"{prefix}{i}",
            patient=f"{prefix}{i}",
            label=i % 3,
            scanner=SCANNERS[i % 3 if by_label else (i // 3) % 3],
            spacing_mm=(2.0, 0.7, 0.7),
            shape=(150, 512, 512),
            mean_lung_hu=float(rng.normal(-800, 30)),
        )
        for i in range(count)
    ]


@pytest.mark.parametrize("share", [1.0, 0.7])
def test_scanners_that_follow_the_label_are_confounded(share: float) -> None:
    rng = np.random.default_rng(5)
    cohorts = []
    for prefix in ("train", "holdout"):
        cases = describe(45, prefix, by_label=True)
        cohorts.append([c if rng.uniform() < share else replace(c, scanner=SCANNERS[rng.integers(3)]) for c in cases])
    baselines = fit_baselines(*cohorts, config=CONFIG, seed=0)
    assert baselines.confounded is True
    assert baselines.to_dict()["confounded"] is True


def test_a_single_number_of_the_header_that_follows_the_label_is_confounded() -> None:
    def thicken(cases: list[CaseDescription]) -> list[CaseDescription]:
        return [replace(c, scanner=replace(SCANNERS[0], slice_thickness_mm=1.0 + 0.5 * c.label)) for c in cases]

    train, holdout = (thicken(describe(30, name, by_label=False)) for name in ("train", "holdout"))
    assert fit_baselines(train, holdout, config=CONFIG, seed=0).confounded is True


def test_what_headers_leave_out_can_tell_the_label_too() -> None:
    def strip(cases: list[CaseDescription]) -> list[CaseDescription]:
        return [replace(c, scanner=replace(SCANNERS[0], kvp=None if c.label == 1 else 120.0)) for c in cases]

    train, holdout = (strip(describe(30, name, by_label=False)) for name in ("train", "holdout"))
    assert fit_baselines(train, holdout, config=CONFIG, seed=0).confounded is True


def test_a_balanced_design_is_not_confounded() -> None:
    train = describe(90, "train", by_label=False)
    holdout = describe(45, "holdout", by_label=False, seed=1)
    baselines = fit_baselines(train, holdout, config=CONFIG, seed=0)
    assert baselines.confounded is False
    assert baselines.metadata.macro_auc.value == pytest.approx(0.5)


def test_random_scanners_that_have_nothing_to_do_with_the_label_are_not_confounded() -> None:
    rng = np.random.default_rng(11)
    train, holdout = (
        [replace(c, scanner=SCANNERS[rng.integers(3)]) for c in describe(n, name, by_label=False)]
        for name, n in (("train", 150), ("holdout", 150))
    )
    baselines = fit_baselines(train, holdout, config=CONFIG, seed=0)
    assert baselines.confounded is False
    assert baselines.metadata.macro_auc.low is not None


def test_scanners_that_training_did_not_know_are_no_evidence() -> None:
    train = describe(30, "train", by_label=True)
    unseen = Scanner(manufacturer="Neusoft", model="NeuViz", kernel="F20")
    holdout = [replace(c, scanner=unseen) for c in describe(15, "holdout", by_label=True)]
    assert fit_baselines(train, holdout, config=CONFIG, seed=0).metadata.macro_auc.value == 0.5


def test_lung_density_that_differs_by_class_is_found() -> None:
    train, holdout = (
        [replace(c, mean_lung_hu=c.mean_lung_hu + 50 * c.label) for c in describe(60, name, by_label=False)]
        for name in ("train", "holdout")
    )
    result = fit_baseline("HU", lung_density_features, train, holdout, config=CONFIG, seed=0)
    assert result.macro_auc.value is not None
    assert result.macro_auc.value > 0.8
    assert result.macro_auc.low is not None


def test_whether_a_cohort_without_a_class_is_confounded_is_not_known() -> None:
    train = describe(30, "train", by_label=True)
    holdout = [c for c in describe(15, "holdout", by_label=True) if c.label != 2]
    assert fit_baselines(train, holdout, config=CONFIG, seed=0).confounded is None
    controls = [c for c in train if c.label == 0]
    assert fit_baselines(controls, describe(9, "h", by_label=True), config=CONFIG, seed=0).confounded is None


def test_training_may_lack_a_class() -> None:
    train = [c for c in describe(30, "train", by_label=True) if c.label != 2]
    holdout = describe(15, "holdout", by_label=True)
    result = fit_baseline("scanner", metadata_features, train, holdout, config=CONFIG, seed=0)
    assert result.macro_auc.value is not None


def test_a_patient_in_training_and_hold_out_is_refused() -> None:
    cases = describe(9, "x", by_label=False)
    with pytest.raises(CohortError, match="1 patients are in training and in the hold-out"):
        fit_baselines(cases, [cases[0]], config=CONFIG, seed=0)
