import pytest

from covidctnet.evaluation.baselines import CaseDescription
from covidctnet.evaluation.confounding import cramers_v, metadata_auc
from covidctnet.volume import Scanner


def test_cramers_v_is_one_where_one_tells_the_other_and_zero_where_not() -> None:
    labels = ["a", "b", "c"] * 20
    assert cramers_v(labels, [label.upper() for label in labels]) == pytest.approx(1.0)
    assert cramers_v(labels, ["x", "x", "x", "y", "y", "y"] * 10) == pytest.approx(0.0)
    assert cramers_v(labels, ["x"] * 60) is None


def test_cramers_v_agrees_with_a_case_computed_by_hand() -> None:
    # 2 x 2 table 30 10 / 10 30: chi2 = 20, phi2 = .25; corrected .25 - 1/79, sides 2 - 1/79.
    first = ["a"] * 40 + ["b"] * 40
    second = ["x"] * 30 + ["y"] * 10 + ["x"] * 10 + ["y"] * 30
    assert cramers_v(first, second) == pytest.approx(((0.25 - 1 / 79) / (1 - 1 / 79)) ** 0.5)


def describe(number: int, label: int, model: str) -> CaseDescription:
    return CaseDescription(
        case=f"c{number}", patient=f"p{number}", label=label, scanner=Scanner(manufacturer="GE", model=model),
        spacing_mm=(1.0, 1.0, 1.0), shape=(50, 64, 64), mean_lung_hu=-800.0,
    )  # fmt: skip


def test_the_metadata_classifier_finds_a_shortcut_and_no_other() -> None:
    shortcut = [describe(number, number % 3, f"model {number % 3}") for number in range(30)]
    assert metadata_auc(shortcut, folds=5, seed=0) == pytest.approx(1.0)
    fair = [describe(number, number % 3, f"model {number // 3 % 2}") for number in range(60)]
    measured = metadata_auc(fair, folds=5, seed=0)
    assert measured is not None
    assert 0.3 < measured < 0.65
    assert metadata_auc(shortcut[:5], folds=5, seed=0) is None
