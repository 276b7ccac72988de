import numpy as np
from scipy import ndimage

from tests.helpers.chests import healthy


def test_a_chest_holds_lungs_soft_tissue_bone_and_air_at_their_hounsfield_values() -> None:
    for patient in healthy():
        grid, chest = patient.grid, patient.chest
        litres = chest.lung.sum() * 8.0 * 4.0 * 4.0 / 1e6
        assert 1.5 < litres < 8.0
        assert -950 < np.median(chest.hu[chest.lung]) < -750
        assert chest.hu.max() > 400
        assert chest.hu[0, 0, 0] == -1000
        left, right = chest.lung[..., grid.matrix // 2 :].sum(), chest.lung[..., : grid.matrix // 2].sum()
        assert 0.4 < left / right < 2.0


def test_no_two_patients_have_the_same_chest() -> None:
    for one, other in zip(healthy(), healthy()[1:], strict=False):
        assert np.mean(one.chest.lung != other.chest.lung) > 0.01


def test_the_trachea_is_air_that_forks_into_both_lungs() -> None:
    for patient in healthy():
        air = ndimage.label(patient.chest.hu < -930)[0]
        top, middle = air[-3], patient.grid.matrix // 2
        trachea = np.unique(top[middle - 6 : middle + 6, middle - 8 : middle + 8])
        forked = np.isin(air, trachea[trachea > 0])
        columns = np.flatnonzero(forked.any(axis=(0, 1)))
        assert columns.min() < middle - 5
        assert columns.max() > middle + 5


def test_vessels_lie_in_the_lungs_and_thin_out_towards_the_pleura() -> None:
    for patient in healthy():
        chest = patient.chest
        dense = chest.hu > -500
        share = [dense[chest.lung & zone].mean() for zone in (chest.rim < 0.6, chest.rim > 0.9)]
        assert share[0] > 2 * share[1]
        assert share[0] < 0.3


def test_the_fissure_parts_each_lung_into_lobes() -> None:
    for patient in healthy():
        chest = patient.chest
        lower = np.broadcast_to(chest.above_fissure < 0, chest.lung.shape)[chest.lung].mean()
        assert 0.2 < lower < 0.75
        on, beside = np.abs(chest.above_fissure) < 1, np.abs(np.abs(chest.above_fissure) - 14) < 1
        density = [np.median(chest.hu[chest.lung & zone]) for zone in (on, beside)]
        assert density[0] > density[1]
