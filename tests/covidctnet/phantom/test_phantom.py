import hashlib
from pathlib import Path

import numpy as np
import pytest

from covidctnet.config import PhantomConfig
from covidctnet.labels import CAP, CONTROL, COVID
from covidctnet.phantom.anatomy import Anatomy, build_chest
from covidctnet.phantom.cohort import make_phantom_cohort, plan_patients
from covidctnet.phantom.grid import Grid, smooth_field
from covidctnet.phantom.infections import infect
from covidctnet.phantom.scanners import SCANNERS
from covidctnet.phantom.truth import load_truth, save_truth
from covidctnet.reading import read_volume

TINY = PhantomConfig(controls=2, covid=2, cap=2, matrix=64, slice_spacing_mm=10.0)


def chest_of(seed: int) -> tuple[Grid, object, np.random.Generator]:
    rng = np.random.default_rng(seed)
    grid = Grid(slices=32, matrix=96, slice_spacing_mm=10.0, pixel_spacing_mm=4.0, bottom_mm=-20.0)
    return grid, build_chest(grid, Anatomy.draw(rng), rng), rng


def test_a_chest_holds_lungs_soft_tissue_bone_and_air_at_their_hounsfield_values() -> None:
    grid, chest, _ = chest_of(3)
    litres = chest.lung.sum() * 10.0 * 4.0 * 4.0 / 1e6
    assert 1.5 < litres < 8.0
    assert -930 < np.median(chest.hu[chest.lung]) < -750
    assert chest.hu.max() > 400
    assert chest.hu[0, 0, 0] == -1000
    left, right = chest.lung[..., grid.matrix // 2 :].sum(), chest.lung[..., : grid.matrix // 2].sum()
    assert 0.5 < left / right < 2.0


def test_no_two_patients_have_the_same_chest() -> None:
    one, other = chest_of(1)[1], chest_of(2)[1]
    assert np.mean(one.lung != other.lung) > 0.01


def test_a_control_is_not_infected() -> None:
    grid, chest, rng = chest_of(1)
    hu, infection = infect(chest, grid, CONTROL, rng)
    assert not infection.any()
    np.testing.assert_array_equal(hu, chest.hu)


@pytest.mark.parametrize("label", [COVID, CAP])
def test_an_infection_is_denser_than_the_lung_it_lies_in(label: int) -> None:
    grid, chest, rng = chest_of(5)
    hu, infection = infect(chest, grid, label, rng)
    assert infection.any()
    assert not (infection & ~chest.lung).any()
    assert np.mean(hu[infection]) > np.mean(chest.hu[infection]) + 100
    np.testing.assert_array_equal(hu[~chest.lung], chest.hu[~chest.lung])


def test_covid_is_ground_glass_and_cap_is_denser() -> None:
    densities = {}
    for label in (COVID, CAP):
        values = []
        for seed in range(6):
            grid, chest, rng = chest_of(seed)
            hu, infection = infect(chest, grid, label, rng)
            values.append(np.median(hu[infection]))
        densities[label] = np.mean(values)
    assert -700 < densities[COVID] < -400
    assert densities[CAP] > densities[COVID] + 150


def test_smooth_field_has_unit_spread_and_its_window_is_a_part_of_it() -> None:
    grid = Grid(slices=30, matrix=64, slice_spacing_mm=5.0, pixel_spacing_mm=4.0, bottom_mm=0.0)
    whole = smooth_field(grid, np.random.default_rng(0), 40.0)
    window = (slice(3, 9), slice(10, 20), slice(5, 50))
    part = smooth_field(grid, np.random.default_rng(0), 40.0, window=window)
    assert 0.6 < whole.std() < 1.4
    np.testing.assert_allclose(part, whole[window], atol=1e-12)


def test_every_class_meets_every_scanner_and_kernel_equally_often() -> None:
    patients = plan_patients(PhantomConfig(controls=24, covid=12, cap=12), seed=1)
    for label, each in ((CONTROL, 2), (COVID, 1), (CAP, 1)):
        for scanner in range(len(SCANNERS)):
            for sharp in (False, True):
                met = [p for p in patients if (p.label, p.scanner, p.sharp) == (label, scanner, sharp)]
                assert len(met) == each
    assert len({p.patient for p in patients}) == len(patients)


def test_there_are_five_brands() -> None:
    assert len({scanner.manufacturer for scanner in SCANNERS}) >= 5


@pytest.fixture(scope="module")
def tiny_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_phantom_cohort(
        folder, PhantomConfig(controls=6, covid=1, cap=1, matrix=64, slice_spacing_mm=10.0), 7, workers=1
    )
    return folder


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tiny_cohort: Path, tmp_path: Path) -> None:
    config = PhantomConfig(controls=1, covid=0, cap=0, matrix=64, slice_spacing_mm=10.0)
    digests = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        cohort = make_phantom_cohort(tmp_path / name, config, seed, workers=1)
        digests.append(hashlib.sha256(cohort.path(cohort.cases[0].case).read_bytes()).hexdigest())
    assert digests[0] == digests[1] != digests[2]


def test_the_reader_gives_back_what_each_scanner_imaged(tiny_cohort: Path) -> None:
    from covidctnet.cohort import Cohort

    cohort = Cohort.load(tiny_cohort)
    cohort.verify()
    assert {case.scanner for case in cohort.cases} == {
        "Siemens SOMATOM Scope", "GE Optima CT520 Series", "Philips Ingenuity CT", "Toshiba Aquilion",
        "Hitachi Supria", "Neusoft NeuViz 16",
    }  # fmt: skip
    for case in cohort.cases:
        volume = read_volume(cohort.path(case.case))
        truth = load_truth(cohort.truth_path(case.case))
        assert truth["lung"].shape == volume.hu.shape
        assert str(volume.scanner) == case.scanner
        assert volume.scanner.kernel == case.kernel
        assert volume.spacing_mm[0] == pytest.approx(10.0)
        # Lungs lie where the truth says: the axes are those of the phantom.
        assert volume.hu[truth["lung"] & ~truth["infection"]].mean() < -700
        assert volume.hu.min() >= -1024


def test_truth_survives_writing(tmp_path: Path) -> None:
    mask = np.random.default_rng(0).random((3, 5, 7)) < 0.5
    save_truth(tmp_path / "truth" / "a.npz", lung=mask, infection=~mask)
    found = load_truth(tmp_path / "truth" / "a.npz")
    np.testing.assert_array_equal(found["lung"], mask)
    np.testing.assert_array_equal(found["infection"], ~mask)
