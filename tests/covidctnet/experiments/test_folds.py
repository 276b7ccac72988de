from itertools import combinations

import pytest

from covidctnet.cohort import Case, Cohort
from covidctnet.errors import ConfigError, ExperimentError
from covidctnet.experiments.folds import Fold, fold_names, make_fold
from covidctnet.experiments.options import ExperimentOptions, parse_options
from covidctnet.experiments.selection import link_selection, select_patients
from covidctnet.labels import LABELS
from tests.helpers.experiments import BRANDS, make_case, make_cases

OPTIONS = ExperimentOptions(cases=10, folds=4)


def patients(fold: Fold) -> list[set[str]]:
    return [{case.case.patient for case in part} for part in (fold.train, fold.validation, fold.test)]


def test_a_split_is_by_patient_has_every_class_and_depends_on_the_seed_alone():
    cases = make_cases(12)
    fold = make_fold(cases, "split", OPTIONS, 0)
    assert all(not first & second for first, second in combinations(patients(fold), 2))
    assert [len(part) for part in patients(fold)] == [21, 6, 9]
    assert make_fold(cases[::-1], "split", OPTIONS, 0).test != ()
    assert patients(make_fold(cases[::-1], "split", OPTIONS, 0)) == patients(fold)
    assert patients(make_fold(cases, "split", OPTIONS, 1)) != patients(fold)


def test_two_scans_of_a_patient_stay_together():
    cases = [*make_cases(8), *(make_case(100 + n, 1, patient="patient-Covid-3") for n in range(3))]
    for name in fold_names(cases, "folds", OPTIONS):
        assert sum("patient-Covid-3" in part for part in patients(make_fold(cases, name, OPTIONS, 0))) == 1


def test_every_patient_is_tested_once_over_the_folds_and_validates_in_another():
    cases = make_cases(9)
    folds = [make_fold(cases, name, OPTIONS, 3) for name in fold_names(cases, "folds", OPTIONS)]
    tested = [case.case.case for fold in folds for case in fold.test]
    validated = [case.case.case for fold in folds for case in fold.validation]
    assert sorted(tested) == sorted(validated) == sorted(case.case.case for case in cases)


@pytest.mark.parametrize("kind", ["brand", "site"])
def test_what_is_left_out_is_in_no_other_part(kind):
    cases = make_cases(12)
    names = fold_names(cases, f"{kind}s", OPTIONS)
    assert len(names) == (len(BRANDS) if kind == "brand" else 2)
    for name in names:
        fold = make_fold(cases, name, OPTIONS, 0)

        def group(case):
            return case.scanner.brand if kind == "brand" else case.case.site

        assert {group(case) for case in fold.test} == {name.partition(" ")[2]}
        assert name.partition(" ")[2] not in {group(case) for case in (*fold.train, *fold.validation)}


def test_a_patient_of_two_brands_trains_nothing_when_one_of_them_is_left_out():
    twice = [make_case(100, 0, patient="p"), make_case(101, 0, patient="p")]
    fold = make_fold([*make_cases(12), *twice], f"brand {twice[0].scanner.brand}", OPTIONS, 0)
    assert "p" in {case.case.patient for case in fold.test}
    assert "p" not in {case.case.patient for case in (*fold.train, *fold.validation)}


def test_denoiser_controls_are_in_no_fold():
    cases = [*make_cases(8), make_case(50, 0, split="denoiser")]
    fold = make_fold(cases, "split", OPTIONS, 0)
    assert "Control-50" not in {case.case.case for part in (fold.train, fold.validation, fold.test) for case in part}


def test_what_cannot_be_folded_is_refused_with_the_remedy():
    alone = [make_case(3 * number, label) for label in range(3) for number in range(4)]
    with pytest.raises(ExperimentError, match="none can be left out"):
        fold_names(alone, "brands", OPTIONS)
    with pytest.raises(ExperimentError, match="holds no Control patient; give more cases"):
        make_fold(make_cases(1), "split", OPTIONS, 0)
    with pytest.raises(ExperimentError, match="no fold 'half'"):
        make_fold(make_cases(4), "half", OPTIONS, 0)
    with pytest.raises(ConfigError, match="folds"):
        parse_options({"folds": 1})


@pytest.fixture
def cohort(tmp_path):
    (tmp_path / "source" / "cases").mkdir(parents=True)
    cases: list[Case] = [case.case for case in make_cases(30)]
    return Cohort(folder=tmp_path / "source", cases=tuple(cases))


def test_selected_patients_are_spread_over_the_scanners_and_the_denoiser_has_its_own(cohort):
    ledger = select_patients(cohort, ExperimentOptions(cases=9, denoiser_controls=6), 0)
    by_label = {label: [row for row in ledger.rows if row.label == label] for label in LABELS}
    assert [len(rows) for rows in by_label.values()] == [15, 9, 9]
    held = [row for row in ledger.rows if row.split == "denoiser"]
    assert {row.label for row in held} == {"Control"}
    for rows in (held, by_label["CAP"]):
        counts = [sum(row.scanner == f"{brand} X" for row in rows) for brand in BRANDS]
        assert max(counts) - min(counts) == 0
    assert any(row.split == "validation" for row in by_label["Control"])
    assert select_patients(cohort, ExperimentOptions(cases=9, denoiser_controls=6), 1) != ledger


def test_a_selection_links_the_images_and_too_small_a_cohort_is_refused(cohort, tmp_path):
    ledger = select_patients(cohort, ExperimentOptions(cases=4, denoiser_controls=2), 0)
    part = link_selection(cohort, ledger, tmp_path / "part")
    assert len(Cohort.load(tmp_path / "part").cases) == len(part.cases) == 14
    assert part.path("x").parent.resolve() == (cohort.folder / "cases").resolve()
    with pytest.raises(ExperimentError, match=r"holds 30 Control patients, not 34 \(4 for the denoiser\)"):
        select_patients(cohort, ExperimentOptions(cases=30, denoiser_controls=4), 0)
    everyone = select_patients(cohort, ExperimentOptions(cases=0, denoiser_controls=4), 0)
    assert len(everyone.rows) == 90
