import numpy as np
import pytest

from covidctnet.phantom import findings
from covidctnet.phantom.lesions import Canvas
from tests.helpers.chests import healthy


def draw(name: str, seed: int) -> Canvas:
    patient = healthy()[seed % len(healthy())]
    canvas = Canvas.of(patient.chest, patient.grid)
    getattr(findings, f"_draw_{name}")(canvas, np.random.default_rng(seed))
    return canvas


@pytest.mark.parametrize("name", ["nodule", "scar", "emphysema"])
def test_a_finding_changes_only_lung_and_is_never_an_infection(name: str) -> None:
    drawn = [draw(name, seed) for seed in range(8)]
    assert any(canvas.finding.any() for canvas in drawn)
    for canvas in drawn:
        changed = canvas.hu != canvas.chest.hu
        assert changed.any()
        assert not (changed & ~canvas.chest.lung).any()
        assert not canvas.infection.any()
        assert not canvas.effusion.any()


def test_nodules_and_scars_are_dense_and_emphysema_is_empty() -> None:
    for seed in range(8):
        for name, denser in (("nodule", True), ("scar", True), ("emphysema", False)):
            canvas = draw(name, seed)
            difference = canvas.hu - canvas.chest.hu
            assert (difference.max() > 20) == denser
            assert (difference.min() < -20) == (not denser)


def test_emphysema_prefers_the_upper_lobes() -> None:
    heights = []
    for seed in range(8):
        canvas = draw("emphysema", seed)
        z = np.broadcast_to(canvas.grid.z, canvas.hu.shape)
        heights.append(z[canvas.finding].mean() - z[canvas.chest.lung].mean())
    assert np.mean(heights) > 15


def test_emphysema_leaves_an_infection_as_it_is() -> None:
    canvas = Canvas.of(healthy()[0].chest, healthy()[0].grid)
    canvas.infection[:] = canvas.chest.lung
    findings._draw_emphysema(canvas, np.random.default_rng(2))
    np.testing.assert_array_equal(canvas.hu, canvas.chest.hu)
