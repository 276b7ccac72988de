import numpy as np
import pytest

from covidctnet.lungs import mean_lung_hu, segment_aerated, segment_lungs
from covidctnet.volume import Volume


def crude_chest() -> np.ndarray:
    hu = np.full((10, 60, 80), -1000, np.float32)
    hu[:, 10:50, 10:70] = 40
    hu[2:8, 18:42, 16:36] = -850
    hu[2:8, 18:42, 44:64] = -830
    return hu


def test_lungs_are_found_and_outside_air_is_not() -> None:
    hu = crude_chest()
    lungs = segment_lungs(Volume(hu=hu, spacing_mm=(5.0, 4.0, 4.0)))
    np.testing.assert_array_equal(lungs, (hu < -800) & (hu > -900))


def test_a_gas_bubble_is_no_lung() -> None:
    hu = crude_chest()
    hu[0, 44:47, 30:33] = -950
    assert not segment_aerated(hu)[0].any()


def test_no_air_no_lungs() -> None:
    assert not segment_aerated(np.zeros((3, 20, 20), np.float32)).any()


def test_mean_lung_density_is_that_of_both_lungs() -> None:
    volume = Volume(hu=crude_chest(), spacing_mm=(5.0, 4.0, 4.0))
    assert mean_lung_hu(volume) == pytest.approx(-840.0)
    solid = Volume(hu=np.full((3, 20, 20), 30, np.float32), spacing_mm=(5.0, 4.0, 4.0))
    assert mean_lung_hu(solid) == pytest.approx(30.0)
