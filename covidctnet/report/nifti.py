"""NIfTI-1 files of a study: voxels and where they lie, and nothing of the headers that they came from.

Source: the NIfTI-1 standard's `nifti1.h`. Written slice by slice, so that a volume needs no second copy in memory.
"""

import gzip
from collections.abc import Callable
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from covidctnet.interpolate import resample_linearly
from covidctnet.resize import resize
from covidctnet.volume import BoolArray, Volume

RESIDUAL_STEPS = 10_000
"""Stored value of a residual of 1: int16 then holds it to 0.0001, and `scl_slope` gives it back."""

_FIELDS: dict[str, tuple[str, int]] = {
    "sizeof_hdr": ("<i4", 0),
    "dim": ("<8i2", 40),
    "datatype": ("<i2", 70),
    "bitpix": ("<i2", 72),
    "pixdim": ("<8f4", 76),
    "vox_offset": ("<f4", 108),
    "scl_slope": ("<f4", 112),
    "scl_inter": ("<f4", 116),
    "xyzt_units": ("<u1", 123),
    "cal_max": ("<f4", 124),
    "cal_min": ("<f4", 128),
    "qform_code": ("<i2", 252),
    "sform_code": ("<i2", 254),
    "quatern": ("<3f4", 256),
    "qoffset": ("<3f4", 268),
    "srow": ("<(3,4)f4", 280),
    "magic": ("S4", 344),
}
_HEADER_BYTES, _DATA_START = 348, 352
_MILLIMETRES, _SCANNER = 2, 1
_LEVEL = 1
_DATATYPES = {"<i2": 4, "|u1": 2}

Plane = NDArray[np.int16] | NDArray[np.uint8]


def write_ct(file: IO[bytes], volume: Volume, shown_hu: tuple[float, float]) -> None:
    """Write the Hounsfield units of a volume, int16, on the grid on which the reader placed it.

    Args:
        file: receives the gzipped file.
        volume: HU, axes (z, y, x), z from feet to head, y from front to back, x from right to left.
        shown_hu: range that a viewer should show by default.
    """
    limits = np.iinfo(np.int16)

    def plane(z: int) -> Plane:
        stored: Plane = np.clip(np.rint(volume.hu[z]), limits.min, limits.max).astype(np.int16)
        return stored

    _write(file, volume, plane, slope=1.0, shown=shown_hu)


def write_residual(file: IO[bytes], volume: Volume, residual: NDArray[np.float32], shown: float) -> None:
    """Write a residual on the grid of the volume that it belongs to, int16 in steps of 1 / `RESIDUAL_STEPS`.

    Args:
        file: receives the gzipped file.
        volume: gives the grid.
        residual: input minus denoised, -1 to 1, axes (z, y, x) over the same extent as the volume.
        shown: largest size that a viewer should show by default.
    """
    depth, height, width = volume.hu.shape
    # Along z first: planes of the volume's size are then made one at a time.
    at_height = resample_linearly(np.ascontiguousarray(residual), (depth, *residual.shape[1:]))

    def plane(z: int) -> Plane:
        stored: Plane = np.rint(resize(at_height(z), (height, width)) * RESIDUAL_STEPS).astype(np.int16)
        return stored

    _write(file, volume, plane, slope=1.0 / RESIDUAL_STEPS, shown=(-shown, shown))


def write_marks(file: IO[bytes], volume: Volume, marked: BoolArray) -> None:
    """Write where something is marked, uint8 0 or 1, on the grid of the volume that it belongs to.

    Args:
        file: receives the gzipped file.
        volume: gives the grid.
        marked: axes (z, y, x) over the same extent as the volume; a voxel takes the value in which its centre lies.
    """
    sides = zip(volume.hu.shape, marked.shape, strict=True)
    z_places, *plane_places = (((np.arange(count) + 0.5) * made / count).astype(np.intp) for count, made in sides)
    rows_and_columns = np.ix_(*plane_places)

    def plane(z: int) -> Plane:
        stored: Plane = marked[z_places[z]][rows_and_columns].astype(np.uint8)
        return stored

    _write(file, volume, plane, slope=1.0, shown=(0.0, 1.0))


def _write(
    file: IO[bytes], volume: Volume, plane: Callable[[int], Plane], *, slope: float, shown: tuple[float, float]
) -> None:
    # No name and no time in the gzip header: the same study gives the same bytes.
    with gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) as packed:
        for z in range(volume.hu.shape[0]):
            stored = plane(z)
            kind = stored.dtype.newbyteorder("<")
            if z == 0:
                packed.write(_header(volume, kind, slope, shown))
            packed.write(stored.astype(kind).tobytes())


def _header(volume: Volume, stored: np.dtype[Any], slope: float, shown: tuple[float, float]) -> bytes:
    names, kinds, offsets = zip(*((name, kind, offset) for name, (kind, offset) in _FIELDS.items()), strict=True)
    layout: Any = {"names": names, "formats": kinds, "offsets": offsets, "itemsize": _DATA_START}
    header = np.zeros((), np.dtype(layout))
    depth, height, width = volume.hu.shape
    dz, dy, dx = volume.spacing_mm
    # DICOM counts to the left and to the back, NIfTI to the right and to the front.
    x, y, z = -volume.origin_mm[0], -volume.origin_mm[1], volume.origin_mm[2]
    values: dict[str, Any] = {
        "sizeof_hdr": _HEADER_BYTES,
        "dim": (3, width, height, depth, 1, 1, 1, 1),
        "datatype": _DATATYPES[stored.str],
        "bitpix": 8 * stored.itemsize,
        "pixdim": (1.0, dx, dy, dz, 0.0, 0.0, 0.0, 0.0),
        "vox_offset": _DATA_START,
        "scl_slope": slope,
        "xyzt_units": _MILLIMETRES,
        "cal_max": shown[1],
        "cal_min": shown[0],
        "qform_code": _SCANNER,
        "sform_code": _SCANNER,
        "quatern": (0.0, 0.0, 1.0),
        "qoffset": (x, y, z),
        "srow": ((-dx, 0.0, 0.0, x), (0.0, -dy, 0.0, y), (0.0, 0.0, dz, z)),
        "magic": b"n+1\0",
    }
    for name, value in values.items():
        header[name] = value
    return header.tobytes()
