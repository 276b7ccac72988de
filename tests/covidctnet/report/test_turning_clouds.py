import base64
import re
from dataclasses import replace

import numpy as np

from covidctnet.report.clouds import STRONG_RESIDUAL, make_cloud
from covidctnet.report.data import CaseExample, ReportData
from covidctnet.report.turning_clouds import cloud_script, turning_clouds


def unpack(text: str, kind: type[np.generic]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind)


def test_points_lie_where_the_residual_is_strong(report_data: ReportData) -> None:
    example = next(one for one in report_data.examples if one.label == 2)
    (document,) = turning_clouds([example], seed=1)
    places = unpack(document["strong"], np.uint8).reshape(-1, 3)
    depth, height, width = example.slices.shape
    # Half a step of the bytes can lie beyond a voxel's edge.
    voxels = [np.minimum(places[:, axis] / 255 * size, size - 1) for axis, size in enumerate((width, height, depth))]
    x, y, z = (np.rint(values - 0.5).astype(int).clip(0) for values in voxels)
    near = np.max([np.abs(example.residual[np.clip(z + step, 0, depth - 1), y, x]) for step in (-1, 0, 1)], axis=0)
    assert (near > STRONG_RESIDUAL * 0.5).mean() > 0.95
    signs = unpack(document["residual"], np.int8)
    assert len(signs) == len(places)
    assert document["box"] == [1.0, 1.0, round(290 / 350, 4)]


def test_a_cloud_is_thinned_evenly_and_its_share_is_not(report_data: ReportData) -> None:
    example = next(one for one in report_data.examples if one.label == 2)
    marked = replace(example, denoised=np.zeros_like(example.slices), slices=np.ones_like(example.slices))
    cloud = make_cloud(marked, (-1000.0, 400.0), np.random.default_rng(0))
    assert cloud.share == 1.0
    assert cloud.strong.shape[1] == 5000 < marked.lung.sum()  # type: ignore[union-attr]
    assert abs(cloud.strong[0].mean() - np.argwhere(marked.lung)[:, 0].mean()) < 0.3  # type: ignore[arg-type]


def test_a_healthy_lung_has_an_empty_cloud(report_data: ReportData) -> None:
    example = report_data.one_a_class[0]
    calm = replace(example, denoised=example.slices)
    (document,) = turning_clouds([calm])
    assert (document["share"], document["strong"]) == (0.0, "")


def test_the_script_reaches_for_nothing_outside() -> None:
    script, digest = cloud_script()
    assert not re.search(r"https?:|fetch\(|XMLHttpRequest|import\(|eval\(|</", script)
    assert re.fullmatch(r"sha256-[A-Za-z0-9+/]{43}=", digest)


def test_examples_of_unknown_size_are_drawn_in_a_box_of_a_chest(report_data: ReportData) -> None:
    example: CaseExample = replace(report_data.one_a_class[0], extent_mm=None)
    assert turning_clouds([example])[0]["box"] == [1.0, 1.0, 0.8]
