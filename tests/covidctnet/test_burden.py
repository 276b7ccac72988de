import json
from dataclasses import asdict

import numpy as np
import pytest

from covidctnet.burden import Burden, measure_burden
from covidctnet.config import BurdenConfig, PreprocessConfig
from covidctnet.volume import Volume
from tests.covidctnet.test_lungs import chest

CONFIG = PreprocessConfig(spacing_mm=(5.0, 4.0, 4.0), slice_size=(70, 82))
BLOCK = (slice(6, 12), slice(30, 40), slice(16, 26))
"""In the right lung's lower third: 600 voxels of 0.08 ml."""


def measure(change=lambda residual: None, config: BurdenConfig | None = None) -> Burden:
    hu = chest()
    fine = np.repeat(np.repeat(hu, 2, axis=1), 2, axis=2)
    volume = Volume(hu=fine, spacing_mm=(5.0, 2.0, 2.0), origin_mm=(-160.0, -140.0, -300.0))
    slices = np.clip((hu + 1000) / 1400, 0, 1).astype(np.float32)
    residual = np.zeros_like(slices)
    change(residual)
    return measure_burden(volume, slices, residual, CONFIG, config or BurdenConfig())


def mark(residual: np.ndarray) -> None:
    residual[BLOCK] = 0.3


def test_a_marked_area_is_measured_and_placed() -> None:
    burden = measure(mark)
    assert burden.lung_ml == pytest.approx(0.08 * (32 * 32 * 26 * 2), rel=0.05)
    assert burden.share == pytest.approx(48.0 / burden.lung_ml)
    affected = {(region.side, region.third): region.affected_ml for region in burden.regions}
    assert affected.pop(("right", "lower")) == pytest.approx(48.0)
    assert len(affected) == 5
    assert not any(affected.values())
    (focus,) = burden.foci
    assert (focus.side, focus.third) == ("right", "lower")
    assert focus.volume_ml == pytest.approx(48.0)
    assert focus.box_voxels == ((6, 11), (60, 79), (32, 51))
    z, y, x = focus.centre_voxel
    assert 8 <= z <= 9
    assert 68 <= y <= 71
    assert 40 <= x <= 43
    assert focus.centre_mm == pytest.approx((-160 + 2.0 * x, -140 + 2.0 * y, -300 + 5.0 * z))


def test_the_place_is_said_in_words() -> None:
    words = measure(mark).words
    assert words == ("1 % of the lung is marked: right 2 %, left 0 %; most in the right lower third (7 % of it)")
    assert measure().words == "less than 1 % of the lung is marked"


def test_the_left_lung_is_the_one_of_the_patient() -> None:
    burden = measure(lambda residual: residual.__setitem__((slice(30, 34), slice(20, 30), slice(50, 60)), 0.3))
    assert [(focus.side, focus.third) for focus in burden.foci] == [("left", "upper")]


def test_specks_the_wall_and_weak_or_negative_residuals_do_not_count() -> None:
    def change(residual: np.ndarray) -> None:
        residual[10, 30, 20:24] = 0.3
        residual[:, 8:12] = 0.5
        residual[20:25, 30:40, 16:26] = -0.4
        residual[30:34, 30:40, 16:26] = 0.07

    assert measure(change).share == 0.0
    assert measure(change, BurdenConfig(smallest_focus_ml=0.0)).share > 0.0
    assert measure(change, BurdenConfig(threshold=0.05)).share > 0.005


def test_only_so_many_areas_are_listed_the_largest_first() -> None:
    def change(residual: np.ndarray) -> None:
        for number, z in enumerate((8, 14, 20, 26)):
            residual[z : z + 2, 30:40, 16 : 20 + number] = 0.3

    burden = measure(change, BurdenConfig(listed_foci=3))
    volumes = [focus.volume_ml for focus in burden.foci]
    assert len(volumes) == 3
    assert volumes == sorted(volumes, reverse=True)
    assert sum(volumes) < sum(region.affected_ml for region in burden.regions)


def test_no_lung_no_burden() -> None:
    solid = np.full((20, 40, 40), 40, np.float32)
    slices = np.full(solid.shape, 0.74, np.float32)
    burden = measure_burden(
        Volume(hu=solid, spacing_mm=(5.0, 4.0, 4.0)), slices, slices, PreprocessConfig(), BurdenConfig()
    )
    assert (burden.share, burden.regions, burden.foci, burden.words) == (0.0, (), (), "no lung was found")


def test_a_burden_is_plain_json() -> None:
    assert json.loads(json.dumps(asdict(measure(mark))))["foci"][0]["side"] == "right"
