"""Where the slices of a series lie: order, spacing and orientation, from positions alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from covidctnet.config import ReaderConfig
from covidctnet.dicom.headers import Slice
from covidctnet.errors import GeometryError

Vector = NDArray[np.float64]

_SAME_POSITION_MM = 0.01


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Geometry of a series.

    Attributes:
        order: indices that sort the slices from feet to head.
        flip: which of the image's (rows, columns) run against (front to back, right to left).
        spacing_mm: along (z, y, x).
        origin_mm: (x, y, z) of the first voxel after sorting and flipping.
    """

    order: tuple[int, ...]
    flip: tuple[bool, bool]
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]


def find_geometry(slices: list[Slice], config: ReaderConfig) -> Geometry:
    """Sort the slices by their position along the slice normal and check that they form a regular volume.

    Source: DICOM PS3.3 C.7.6.2.1.1, Image Position and Image Orientation (Patient).

    Raises:
        GeometryError: positions or orientation are missing, the series is tilted or oblique, sizes are
            mixed, or slices are doubled, missing or unevenly spaced.
    """
    _require_one_size(slices, config)
    row, column = _directions(slices)
    _refuse_tilt(slices, row, column, config)
    positions = np.array([_position(image) for image in slices])
    normal = np.cross(row, column)
    normal *= np.sign(normal[2])
    along = positions @ normal
    order = np.argsort(along, kind="stable")
    steps = np.diff(along[order])
    spacing = _slice_spacing(steps, config)
    _refuse_shear(positions[order], normal, spacing, config)
    pixel = slices[0].vector("PixelSpacing", 2)
    if pixel is None or not (pixel > 0).all():
        raise GeometryError("pixel spacing is missing or not positive; export the series with its geometry")
    height, width = int(slices[0].dataset.Rows), int(slices[0].dataset.Columns)
    flip = bool(column[1] < 0), bool(row[0] < 0)
    first = positions[order[0]]
    first = first + (column * pixel[0] * (height - 1) if flip[0] else 0.0)
    first = first + (row * pixel[1] * (width - 1) if flip[1] else 0.0)
    return Geometry(
        order=tuple(int(index) for index in order),
        flip=flip,
        spacing_mm=(spacing, float(pixel[0]), float(pixel[1])),
        origin_mm=(float(first[0]), float(first[1]), float(first[2])),
    )


def _require_one_size(slices: list[Slice], config: ReaderConfig) -> None:
    for keyword in ("Rows", "Columns", "PixelSpacing"):
        values = {image.text(keyword) for image in slices}
        if len(values) > 1:
            raise GeometryError(f"slices of one series differ in {keyword}: {' and '.join(sorted(values)[:2])}")
    size = len(slices), int(slices[0].dataset.Rows), int(slices[0].dataset.Columns)
    if size[0] * size[1] * size[2] > config.max_voxels:
        raise GeometryError(
            f"{' x '.join(map(str, size))} voxels are more than {config.max_voxels} (reader.max_voxels)"
        )


def _directions(slices: list[Slice]) -> tuple[Vector, Vector]:
    orientation = slices[0].vector("ImageOrientationPatient", 6)
    if orientation is None:
        raise GeometryError(f"the orientation of {slices[0].place} is missing or malformed")
    row, column = orientation[:3], orientation[3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if min(lengths) < 0.9 or max(lengths) > 1.1 or abs(row @ column) > 0.01:
        raise GeometryError(
            f"image axes must be of unit length and at right angles, not {orientation.round(3).tolist()}"
        )
    return row / lengths[0], column / lengths[1]


def _refuse_tilt(slices: list[Slice], row: Vector, column: Vector, config: ReaderConfig) -> None:
    normal = np.cross(row, column)
    tag = max(abs(image.number("GantryDetectorTilt") or 0.0) for image in slices)
    tilt = max(float(np.degrees(np.arccos(np.clip(abs(normal[2]), 0, 1)))), tag)
    if tilt > 45.0:
        raise GeometryError(f"the series is not axial: its normal is {tilt:.1f} degrees from the body's axis")
    if tilt > config.max_tilt_degrees:
        raise GeometryError(
            f"the gantry was tilted by {tilt:.1f} degrees, more than {config.max_tilt_degrees:g}; scan without tilt"
        )
    turn = float(np.degrees(np.arccos(np.clip(abs(row[0]), 0, 1))))
    if turn > config.max_turn_degrees:
        raise GeometryError(f"the image rows are turned by {turn:.1f} degrees from the patient's right-left axis")


def _position(image: Slice) -> Vector:
    position = image.vector("ImagePositionPatient", 3)
    if position is None:
        raise GeometryError(f"the position of {image.place} is missing or malformed")
    return position


def _slice_spacing(steps: Vector, config: ReaderConfig) -> float:
    spacing = float(np.median(steps))
    doubled = int((steps < _SAME_POSITION_MM).sum())
    if doubled:
        raise GeometryError(f"{doubled} slices lie at the position of another; send one series without duplicates")
    if spacing > config.max_slice_spacing_mm:
        raise GeometryError(f"slices are {spacing:.1f} mm apart, more than {config.max_slice_spacing_mm:g} mm")
    if steps.max() > config.max_gap * spacing:
        raise GeometryError(f"slices are missing: a gap of {steps.max():.1f} mm where the spacing is {spacing:.1f} mm")
    worst = float(np.abs(steps - spacing).max())
    if worst > config.max_uneven_spacing * spacing:
        raise GeometryError(f"slices are unevenly spaced: from {steps.min():.2f} to {steps.max():.2f} mm")
    # The mean over all slices: a median of rounded positions would add up to a wrong extent.
    return float(steps.mean())


def _refuse_shear(ordered: Vector, normal: Vector, spacing: float, config: ReaderConfig) -> None:
    moves = np.diff(ordered, axis=0)
    sideways = np.linalg.norm(moves - np.outer(moves @ normal, normal), axis=1).max()
    angle = float(np.degrees(np.arctan2(sideways, spacing)))
    if angle > max(config.max_tilt_degrees, 1.0):
        raise GeometryError(
            f"slices are shifted sideways by {sideways:.1f} mm a step, as by a tilt of {angle:.1f} degrees"
        )
