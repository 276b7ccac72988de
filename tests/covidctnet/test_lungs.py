from pathlib import Path

import numpy as np
import pytest

from covidctnet.lungs import LEFT, RIGHT, mean_lung_hu, segment_aerated, segment_lungs
from covidctnet.phantom.anatomy import Anatomy, build_chest
from covidctnet.phantom.grid import Grid
from covidctnet.reading import read_volume
from covidctnet.volume import Volume

SPACING = (5.0, 4.0, 4.0)
RIGHT_BOX, LEFT_BOX = (slice(4, 36), slice(18, 50), slice(12, 38)), (slice(4, 36), slice(18, 50), slice(44, 70))


def chest() -> np.ndarray:
    """Two lungs and a trachea that forks into them, axes (z, y, x)."""
    hu = np.full((40, 70, 82), -1000, np.float32)
    hu[:, 8:60, 4:78] = 40
    hu[RIGHT_BOX], hu[LEFT_BOX] = -850, -830
    hu[20:, 28:32, 39:43] = -990
    hu[20:22, 28:31, 36:46] = -990
    return hu


def overlap(found: np.ndarray, true: np.ndarray) -> float:
    """Dice coefficient."""
    return 2 * np.count_nonzero(found & true) / (np.count_nonzero(found) + np.count_nonzero(true))


def test_both_lungs_are_found_and_told_apart_without_the_airways() -> None:
    lungs = segment_lungs(Volume(hu=chest(), spacing_mm=SPACING))
    true = np.zeros(lungs.shape, np.uint8)
    true[RIGHT_BOX], true[LEFT_BOX] = RIGHT, LEFT
    for side in (RIGHT, LEFT):
        assert overlap(lungs == side, true == side) > 0.97
    assert not lungs[22:, 28:32, 39:43].any()


def test_what_lies_inside_a_lung_belongs_to_it() -> None:
    hu = chest()
    hu[15:18, 30:34, 20:24] = 60
    lungs = segment_lungs(Volume(hu=hu, spacing_mm=SPACING))
    assert (lungs[15:18, 30:34, 20:24] == RIGHT).all()
    assert not segment_aerated(hu)[15:18, 30:34, 20:24].any()


def test_lungs_that_touch_at_the_front_are_cut_where_they_touch() -> None:
    hu = chest()
    hu[10:30, 18:21, 38:44] = -840
    lungs = segment_lungs(Volume(hu=hu, spacing_mm=SPACING))
    assert overlap(lungs == RIGHT, np.isin(np.arange(82), np.arange(12, 41)) & (hu < -800) & (hu > -950)) > 0.93
    assert set(np.unique(lungs[:, :, :36])) == {0, RIGHT}
    assert set(np.unique(lungs[:, :, 46:])) == {0, LEFT}


def test_a_single_lung_lies_on_its_side() -> None:
    hu = chest()
    hu[RIGHT_BOX] = 40
    lungs = segment_lungs(Volume(hu=hu, spacing_mm=SPACING))
    assert set(np.unique(lungs)) == {0, LEFT}
    assert overlap(lungs == LEFT, hu == -830) > 0.97


def test_a_hollow_couch_is_no_airway_and_no_lung() -> None:
    hu = chest()
    hu[:, 62:69, 10:72] = -200
    hu[:, 64:67, 38:44] = -990
    lungs = segment_lungs(Volume(hu=hu, spacing_mm=SPACING))
    assert not lungs[:, 60:].any()
    assert not lungs[22:, 28:32, 39:43].any()


def test_finer_grids_give_the_same_lungs() -> None:
    fine = np.repeat(np.repeat(np.repeat(chest(), 2, axis=0), 3, axis=1), 3, axis=2)[:-1, :-1, :-2]
    lungs = segment_lungs(Volume(hu=fine, spacing_mm=(2.5, 4 / 3, 4 / 3)))
    assert lungs.shape == fine.shape
    for side, hu in ((RIGHT, -850), (LEFT, -830)):
        assert overlap(lungs == side, fine == hu) > 0.96


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_lungs_of_a_phantom_are_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    anatomy = Anatomy.draw(rng)
    grid = Grid(slices=70, matrix=160, slice_spacing_mm=5.0, pixel_spacing_mm=2.4, bottom_mm=-20.0)
    built = build_chest(grid, anatomy, rng)
    lungs = segment_lungs(Volume(hu=built.hu.astype(np.float32), spacing_mm=(5.0, 2.4, 2.4)))
    assert overlap(lungs > 0, built.lung) > 0.93
    right = np.broadcast_to(built.side < 0, lungs.shape)
    assert np.count_nonzero((lungs == RIGHT) & ~right) < 0.02 * np.count_nonzero(lungs)
    assert np.count_nonzero((lungs == LEFT) & right) < 0.02 * np.count_nonzero(lungs)


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "litres"), [("control-a", 4.5), ("covid-a", 3.9), ("cap-a", 4.0)])
def test_the_lungs_of_real_patients_are_found(shared_data: Path, name: str, litres: float) -> None:
    volume = read_volume(shared_data / "series" / f"{name}.zip")
    lungs = segment_lungs(volume)
    ml = np.prod(volume.spacing_mm) / 1000
    right, left = (ml * np.count_nonzero(lungs == side) for side in (RIGHT, LEFT))
    assert right + left == pytest.approx(1000 * litres, rel=0.05)
    assert 1.1 < right / left < 1.6
    # Aerated lung is missed only where it was airway.
    aerated = segment_aerated(volume.hu[::2, ::4, ::4])
    assert np.mean(lungs[::2, ::4, ::4][aerated] > 0) > 0.95
    columns = np.arange(lungs.shape[2])
    middle = {
        side: float((columns * (lungs == side).sum(axis=(0, 1))).sum() / (lungs == side).sum()) for side in (1, 2)
    }
    assert middle[RIGHT] < 230 < 280 < middle[LEFT]


def test_a_gas_bubble_is_no_lung() -> None:
    hu = chest()
    hu[0, 54:56, 30:33] = -950
    assert not segment_aerated(hu)[0].any()


def test_no_air_no_lungs() -> None:
    solid = np.full((3, 20, 20), 30, np.float32)
    assert not segment_aerated(solid).any()
    assert not segment_lungs(Volume(hu=solid, spacing_mm=SPACING)).any()


def test_mean_lung_density_is_that_of_both_lungs() -> None:
    hu = chest()
    hu[20:, 28:32, 39:43] = hu[20:22, 28:31, 38:44] = 40
    assert mean_lung_hu(Volume(hu=hu, spacing_mm=SPACING)) == pytest.approx(-840.0, abs=0.1)
    solid = Volume(hu=np.full((3, 20, 20), 30, np.float32), spacing_mm=SPACING)
    assert mean_lung_hu(solid) == pytest.approx(30.0)
