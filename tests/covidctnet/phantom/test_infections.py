from functools import lru_cache

import numpy as np
import pytest

from covidctnet.labels import CAP, CONTROL, COVID, LABELS
from covidctnet.phantom.consolidation import draw_consolidations
from covidctnet.phantom.ground_glass import draw_ground_glass
from covidctnet.phantom.infections import Disease, infect
from covidctnet.phantom.lesions import Canvas, draw_place
from tests.helpers.chests import Patient, healthy

DRAWN = 24


@lru_cache
def diseases(label: int) -> list[tuple[Patient, Disease]]:
    drawn = []
    for seed in range(DRAWN):
        patient = healthy()[seed % len(healthy())]
        drawn.append((patient, infect(patient.chest, patient.grid, label, np.random.default_rng((seed, label)))))
    return drawn


@lru_cache
def canvases(label: int) -> list[Canvas]:
    draw = {COVID: draw_ground_glass, CAP: draw_consolidations}[label]
    drawn = []
    for seed in range(DRAWN):
        patient = healthy()[seed % len(healthy())]
        canvas = Canvas.of(patient.chest, patient.grid)
        draw(canvas, np.random.default_rng((seed, label)))
        drawn.append(canvas)
    return drawn


def share_of_right(canvas: Canvas) -> float:
    right = canvas.infection & (canvas.chest.side < 0)
    return float(right.sum() / canvas.infection.sum())


def test_a_control_is_not_infected_but_some_have_findings() -> None:
    found = diseases(CONTROL)
    assert not any(disease.infection.any() for _, disease in found)
    with_findings = sum(disease.finding.any() for _, disease in found)
    assert 0.3 * DRAWN < with_findings < 0.95 * DRAWN
    for patient, disease in found:
        if not disease.finding.any():
            assert np.mean(disease.hu != patient.chest.hu) < 0.001


@pytest.mark.parametrize("label", [COVID, CAP])
def test_an_infection_is_denser_than_the_lung_it_lies_in(label: int) -> None:
    for patient, disease in diseases(label):
        assert disease.infection.any()
        assert not (disease.infection & ~disease.lung).any()
        assert not (disease.infection & disease.finding).any()
        assert not (disease.lung & ~patient.chest.lung).any()
        before = patient.chest.hu[disease.infection].mean()
        assert disease.hu[disease.infection].mean() > before + 40
        np.testing.assert_array_equal(disease.hu[~patient.chest.lung], patient.chest.hu[~patient.chest.lung])


@pytest.mark.parametrize("label", [CONTROL, COVID, CAP])
def test_findings_that_are_no_pneumonia_come_as_often_in_every_class(label: int) -> None:
    with_findings = sum(
        disease.finding.any() and not (patient.chest.lung & ~disease.lung).any() for patient, disease in diseases(label)
    )
    assert 0.2 * DRAWN < with_findings < 0.85 * DRAWN, LABELS[label]


def test_covid_is_ground_glass_and_cap_is_denser_but_some_overlap() -> None:
    covid, cap = (
        np.array([np.median(canvas.hu[canvas.infection]) for canvas in canvases(label)]) for label in (COVID, CAP)
    )
    assert -720 < covid.mean() < -400
    assert cap.mean() > covid.mean() + 150
    assert covid.min() < -690, "nobody's ground glass is faint"
    assert cap.min() < covid.max(), "density alone would tell the classes apart"


@pytest.mark.parametrize(("label", "least_two_sided", "most_two_sided"), [(COVID, 0.5, 0.95), (CAP, 0.1, 0.6)])
def test_some_of_each_class_are_one_sided_and_some_two_sided(
    label: int, least_two_sided: float, most_two_sided: float
) -> None:
    two_sided = np.mean([0.02 < share_of_right(canvas) < 0.98 for canvas in canvases(label)])
    assert least_two_sided <= two_sided <= most_two_sided


def test_ground_glass_prefers_the_periphery_the_back_and_the_base() -> None:
    rims, depths, heights = [], [], []
    for canvas in canvases(COVID):
        lung, infection = canvas.chest.lung, canvas.infection
        for values, axis in ((canvas.chest.rim, rims), (canvas.grid.y, depths), (canvas.grid.z, heights)):
            whole = np.broadcast_to(values, lung.shape)
            axis.append(whole[infection].mean() - whole[lung].mean())
    assert np.mean(rims) > 0.05
    assert np.mean(depths) > 5.0
    assert np.mean(heights) < -3.0


def test_consolidations_hold_air_bronchograms() -> None:
    with_air = []
    for canvas in canvases(CAP):
        inside = canvas.hu[canvas.infection]
        with_air.append(np.median(inside) > -400 and inside.min() < np.median(inside) - 200)
    assert np.mean(with_air) > 0.5


def test_some_consolidations_end_at_the_fissure() -> None:
    ends = []
    for canvas in canvases(CAP):
        near = canvas.chest.lung & (np.abs(canvas.chest.above_fissure) < 10)
        above = canvas.infection & near & (canvas.chest.above_fissure > 0)
        below = canvas.infection & near & (canvas.chest.above_fissure < 0)
        ends.append(min(above.sum(), below.sum()) == 0 < max(above.sum(), below.sum()))
    assert any(ends)


def test_an_effusion_takes_the_lungs_place_and_is_commoner_in_cap() -> None:
    effusions = {}
    for label in (CONTROL, COVID, CAP):
        lost = []
        for patient, disease in diseases(label):
            fluid = patient.chest.lung & ~disease.lung
            lost.append(fluid.any())
            if fluid.any():
                assert np.unique(disease.hu[fluid]).tolist() == [12.0]
                assert disease.finding[fluid].all()
                behind = np.broadcast_to(patient.grid.y, fluid.shape)
                assert behind[fluid].mean() > behind[patient.chest.lung].mean()
        effusions[label] = sum(lost)
    assert effusions[CAP] > effusions[COVID]
    assert effusions[CAP] > effusions[CONTROL]


def test_there_is_no_place_in_an_empty_lung() -> None:
    assert draw_place(np.random.default_rng(0), np.zeros((2, 3, 4), bool)) is None
