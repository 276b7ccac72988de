"""How a scanner sees a phantom: its resolution, the thickness of its slices and the texture of its noise."""

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from covidctnet.phantom.draws import white_noise
from covidctnet.phantom.grid import STRONGEST_PASS, Field, Grid, soften

_BOX_VARIANCE = 1.0 / 12.0
_KEPT_COARSE = 0.35
_COARSER = 4.0


@dataclass(frozen=True, kw_only=True)
class ScannerModel:
    """One scanner model, the protocol that it is used with, and the quirks of its headers.

    Attributes:
        manufacturer: as the brand writes it in (0008,0070).
        model: as the brand writes it in (0008,1090).
        matrix: rows and columns.
        thickness_mm: SliceThickness; where it exceeds the spacing, slices overlap.
        spacing_mm: from slice to slice.
        fields: least and greatest field of view, as multiples of the body's width.
        kernels: reconstruction kernels, soft to sharp.
        noise_hu: standard deviation of the soft kernel's noise in soft tissue.
        grain_mm: width of that noise's grain.
        blur_mm: width of the soft kernel's point spread.
        kvp: tube voltage.
        intercept: rescale intercept in HU; 0 where pixels hold HU.
        bits_stored: of 16.
        signed: PixelRepresentation.
        padding: raw value outside the round field of view; None where the corners hold air.
        padding_tag: VR and value of PixelPaddingValue (0028,0120), None where the tag is missing.
        rescale_type: RescaleType (0028,1054), None where the tag is missing.
        image_type: values of ImageType behind ORIGINAL, PRIMARY, AXIAL.
        position: PatientPosition (0018,5100).
        spacing_sign: sign of SpacingBetweenSlices (0018,0088), 0 where the tag is missing.
        numbered_from_head: whether the first instance is the highest.
        transfer_syntax: UID of the pixel data's encoding.
    """

    manufacturer: str
    model: str
    kernels: tuple[str, str]
    transfer_syntax: str
    matrix: int = 512
    thickness_mm: float = 2.0
    spacing_mm: float = 2.0
    fields: tuple[float, float] = (1.06, 1.2)
    noise_hu: float = 17.0
    grain_mm: float = 1.5
    blur_mm: float = 1.3
    kvp: int = 120
    intercept: int = -1024
    bits_stored: int = 16
    signed: bool = False
    padding: int | None = None
    padding_tag: tuple[str, int] | None = None
    rescale_type: str | None = "HU"
    image_type: tuple[str, ...] = ()
    position: str = "HFS"
    spacing_sign: int = 0
    numbered_from_head: bool = True

    @property
    def stored_range(self) -> tuple[int, int]:
        """Lowest and highest raw value of the image; 12 bits hold it, as in most scanners."""
        return (-2048, 4095) if self.signed else (0, 4095)


def acquire(hu: Field, grid: Grid, scanner: ScannerModel, rng: np.random.Generator, *, sharp: bool) -> Field:
    """Blur an ideal image by a scanner's resolution and add its noise.

    Args:
        hu: axes (z, y, x).
        grid: of the voxels.
        scanner: what images it.
        rng: source of the noise.
        sharp: whether the sharper of the two kernels is used.

    Returns:
        HU with noise, axes (z, y, x).
    """
    blur = (scanner.blur_mm * (0.7 if sharp else 1.0) / (2.0 * grid.pixel_spacing_mm)) ** 2
    thickness = scanner.thickness_mm / scanner.spacing_mm
    imaged = soften(soften(hu, blur, 2), blur, 1)
    imaged = soften(imaged, _BOX_VARIANCE * thickness * thickness, 0)
    noise = _draw_noise(grid, scanner, rng, sharp=sharp)
    # Less is absorbed in lung and air, so the noise is weaker there.
    noise *= np.clip(0.45 + 0.55 * (imaged + 1000.0) / 1000.0, 0.3, 1.0)
    imaged += noise
    return imaged


def _draw_noise(grid: Grid, scanner: ScannerModel, rng: np.random.Generator, *, sharp: bool) -> Field:
    """Noise of the kernel's texture; sharp kernels amplify fine grain and keep little of the coarse."""
    grain = (scanner.grain_mm * (0.6 if sharp else 1.0) / (2.0 * grid.pixel_spacing_mm)) ** 2
    noise = white_noise(rng, grid.shape)
    noise = soften(soften(noise, grain, 2), grain, 1)
    fine = _taps(grain)
    power = _overlap(fine, fine)
    if sharp:
        more = (_COARSER - 1.0) * grain
        noise -= (1.0 - _KEPT_COARSE) * soften(soften(noise, more, 2), more, 1)
        coarse = _convolve(fine, _taps(more))
        share = 1.0 - _KEPT_COARSE
        power += share * share * _overlap(coarse, coarse) - 2.0 * share * _overlap(fine, coarse)
    # Filtering takes away variance; the scanner's noise is given after reconstruction.
    noise *= scanner.noise_hu * (1.5 if sharp else 1.0) / power**0.5
    return noise


def _taps(variance: float) -> list[float]:
    """The filter that `soften` applies along one axis."""
    passes = ceil(variance / STRONGEST_PASS)
    weight = 0.5 * variance / max(passes, 1)
    taps = [1.0]
    for _ in range(passes):
        taps = _convolve(taps, [weight, 1.0 - 2.0 * weight, weight])
    return taps


def _convolve(first: list[float], second: list[float]) -> list[float]:
    result = [0.0] * (len(first) + len(second) - 1)
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            result[i + j] += a * b
    return result


def _overlap(first: list[float], second: list[float]) -> float:
    """Sum of the product of two separable filters over the plane."""
    shift = (len(second) - len(first)) // 2
    line = sum(tap * second[index + shift] for index, tap in enumerate(first) if 0 <= index + shift < len(second))
    return line * line


def to_stored(hu: Field, grid: Grid, scanner: ScannerModel) -> NDArray[np.int16 | np.uint16]:
    """Raw pixels as the scanner stores them: whole numbers in its range, padded outside its field of view.

    Args:
        hu: axes (z, y, x).
        grid: of the voxels.
        scanner: intercept, range and padding.
    """
    low, high = scanner.stored_range
    raw = np.clip(np.rint(hu) - scanner.intercept, low, high)
    if scanner.padding is not None:
        reach = 0.5 * grid.matrix * grid.pixel_spacing_mm
        raw[np.broadcast_to(grid.x**2 + grid.y**2 > reach * reach, raw.shape)] = scanner.padding
    stored: NDArray[np.int16 | np.uint16] = raw.astype(np.int16 if scanner.signed else np.uint16)
    return stored
