"""3D point clouds of a scan and of its residual (after the paper's figure of the same kind)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.axes3d import Axes3D
from numpy.typing import NDArray

from covidctnet.labels import LABELS
from covidctnet.report.anatomy import DEFAULT_WINDOW_HU, RESIDUAL_RANGE, body_region, lung_region, surface
from covidctnet.report.data import CaseExample
from covidctnet.report.style import CLASS_COLOURS, SIGNED, SOFT, new_figure, styled
from covidctnet.volume import BoolArray

STRONG_RESIDUAL = 0.12
"""Level of a strong residual, 0 to 1, about 170 HU in the paper's window. One level for all cases: a share of
its own would show as many voxels in a healthy lung as in a sick one."""

_BODY_POINTS, _LUNG_POINTS, _FAINT_POINTS, _RESIDUAL_POINTS = 3000, 6000, 2500, 5000
_LUNG_COLOUR = "#4b7fa3"
UNKNOWN_EXTENT = (0.8, 1.0, 1.0)
"""Box along (z, y, x) of a case whose size is not known."""

Points = NDArray[np.int64]
"""Voxel indices, shape (3, n), rows (z, y, x)."""


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """What is drawn of one case; a large set of points is thinned out, evenly by chance.

    Attributes:
        body, lung: voxels of the surfaces.
        strong: voxels of the lungs beyond `STRONG_RESIDUAL`.
        residual: there, shape (n,), -1 to 1.
        share: of the lungs that is beyond `STRONG_RESIDUAL`, before thinning.
    """

    body: Points
    lung: Points
    strong: Points
    residual: NDArray[np.float32]
    share: float


def make_cloud(example: CaseExample, window_hu: tuple[float, float], rng: np.random.Generator) -> Cloud:
    """Pick the points of one case.

    Args:
        example: the case.
        window_hu: Hounsfield units of the intensities 0 and 1.
        rng: of the choice of points.
    """
    lung = lung_region(example, window_hu)
    strong = lung & (np.abs(example.residual) > STRONG_RESIDUAL)
    picked = _pick(strong, _RESIDUAL_POINTS, rng)
    return Cloud(
        body=_pick(surface(body_region(example.slices, window_hu)), _BODY_POINTS, rng),
        lung=_pick(surface(lung), _LUNG_POINTS, rng),
        strong=picked,
        residual=example.residual[tuple(picked)],
        share=float(strong.sum()) / max(int(lung.sum()), 1),
    )


@styled
def cloud_figure(
    examples: Sequence[CaseExample], window_hu: tuple[float, float] = DEFAULT_WINDOW_HU, seed: int = 0
) -> Figure:
    """A column a case: above, surfaces of body and lungs; below, the lungs' strongest residuals.

    Args:
        examples: one or a few cases.
        window_hu: Hounsfield units of the intensities 0 and 1.
        seed: of the choice of points.
    """
    figure = new_figure(3.3 * max(len(examples), 2), 6.6)
    rng = np.random.default_rng(seed)
    count = len(examples)
    for column, example in enumerate(examples):
        cloud = make_cloud(example, window_hu, rng)
        above = _space(figure, (2, count, column + 1), example)
        _scatter(above, cloud.body, rng, color=SOFT, alpha=0.22)
        _scatter(above, cloud.lung, rng, color=_LUNG_COLOUR, alpha=0.5)
        above.set_title(LABELS[example.label], color=CLASS_COLOURS[example.label])
        below = _space(figure, (2, count, count + column + 1), example)
        _scatter(below, _thin(cloud.lung, _FAINT_POINTS, rng), rng, color=SOFT, alpha=0.28)
        _scatter(below, cloud.strong, rng, color=_signed_colours(cloud.residual), alpha=0.75, size=4.5)
        below.set_title(f"{cloud.share:.1%} of the lung beyond {STRONG_RESIDUAL:g}", fontsize=8.5, weight="normal")
    return figure


def _space(figure: Figure, place: tuple[int, int, int], example: CaseExample) -> Axes3D:
    axes = figure.add_subplot(*place, projection="3d")
    assert isinstance(axes, Axes3D)
    depth, height, width = example.slices.shape
    axes.set(xlim=(0, width), ylim=(0, height), zlim=(0, depth))
    tall, deep, wide = example.extent_mm or UNKNOWN_EXTENT
    axes.set_box_aspect((wide, deep, tall), zoom=1.6)
    # From the front and a little above; x rises from the patient's right to the left.
    axes.view_init(elev=14, azim=-72)
    axes.set_axis_off()
    return axes


def _pick(region: BoolArray, most: int, rng: np.random.Generator) -> Points:
    return _thin(np.argwhere(region).T, most, rng)


def _thin(points: Points, most: int, rng: np.random.Generator) -> Points:
    if points.shape[1] > most:
        points = points[:, np.sort(rng.choice(points.shape[1], most, replace=False))]
    return points


def _scatter(
    axes: Axes3D, points: Points, rng: np.random.Generator, *, color: Any, alpha: float, size: float = 2.2
) -> None:
    z, y, x = scatter_in_voxels(points, rng)
    axes.scatter(x, y, z, s=size, color=color, alpha=alpha, linewidths=0, depthshade=False)


def scatter_in_voxels(points: Points, rng: np.random.Generator) -> NDArray[np.float64]:
    """A place anywhere in each voxel: at the centres, points line up and the eye sees the grid instead of the organ."""
    return points + rng.uniform(size=points.shape)


def _signed_colours(values: NDArray[np.float32]) -> Any:
    shown = np.clip(values / RESIDUAL_RANGE, -1.0, 1.0)
    # The middle of the colours is white, which a point on white paper must not be.
    return SIGNED(0.5 + np.sign(shown) * (0.18 + 0.32 * np.abs(shown)))
