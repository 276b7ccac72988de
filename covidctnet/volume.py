"""A CT series as an array in patient space, and the scanner that made it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from covidctnet.errors import GeometryError

HUArray = NDArray[np.float32]
"""Hounsfield units, axes (z, y, x): z from feet to head, y from front to back, x from right to left."""

UnitArray = NDArray[np.float32]
"""Intensities from 0 to 1, axes (z, y, x)."""

BoolArray = NDArray[np.bool_]
"""A mask, axes (z, y, x)."""


@dataclass(frozen=True, kw_only=True)
class Scanner:
    """What the header says of the scanner and the acquisition; never anything about the patient.

    Empty strings and None stand for attributes that the header does not hold.
    """

    manufacturer: str = ""
    model: str = ""
    kernel: str = ""
    slice_thickness_mm: float | None = None
    kvp: float | None = None

    def __str__(self) -> str:
        """Brand and model as a person would say them: "Siemens SOMATOM Scope"."""
        return " ".join(part for part in (self.brand, self.model) if part) or "unknown scanner"

    @property
    def brand(self) -> str:
        """The manufacturer in its short usual form, the same for every spelling in the field."""
        known = (
            "Siemens",
            "GE",
            "Philips",
            "Toshiba",
            "Canon",
            "Hitachi",
            "Neusoft",
            "Fujifilm",
            "United Imaging",
        )
        lowered = self.manufacturer.strip().lower()
        for brand in known:
            if lowered.startswith(brand.lower()):
                return brand
        return self.manufacturer.strip()


@dataclass(frozen=True, kw_only=True)
class Volume:
    """One CT series.

    Attributes:
        hu: Hounsfield units, axes (z, y, x), float32; z rises from feet to head.
        spacing_mm: distance of voxel centres along (z, y, x) in mm.
        origin_mm: centre of voxel (0, 0, 0) in the DICOM patient system, as (x, y, z) in mm.
        scanner: what made it.
        series: which series it is and why it was taken, in words.
        warnings: what the reader saw and let pass, in words for a radiologist.
    """

    hu: HUArray
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scanner: Scanner = field(default_factory=Scanner)
    series: str = ""
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.hu.ndim != 3 or 0 in self.hu.shape:
            raise GeometryError(f"a volume has three axes (z, y, x) and voxels, not shape {self.hu.shape}")
        if self.hu.dtype != np.float32:
            raise GeometryError(f"a volume holds float32 Hounsfield units, not {self.hu.dtype}")
        if not all(np.isfinite(step) and step > 0 for step in self.spacing_mm):
            raise GeometryError(f"voxel spacing must be positive and finite, not {self.spacing_mm} mm")

    @property
    def extent_mm(self) -> tuple[float, float, float]:
        """Size of the scanned box along (z, y, x) in mm."""
        depth, height, width = (n * step for n, step in zip(self.hu.shape, self.spacing_mm, strict=True))
        return depth, height, width

    def position_mm(self, voxel: Sequence[int]) -> tuple[float, float, float]:
        """Where a voxel (z, y, x) lies in the DICOM patient system, as (x, y, z) in mm."""
        x, y, z = (
            origin + index * step
            for origin, index, step in zip(self.origin_mm, reversed(voxel), reversed(self.spacing_mm), strict=True)
        )
        return x, y, z
