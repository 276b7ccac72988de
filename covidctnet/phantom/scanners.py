"""Scanners that the phantom cohort pretends to come from, with the quirks of their headers and images."""

from dataclasses import dataclass

import numpy as np
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLosslessSV1, RLELossless
from scipy import ndimage

from covidctnet.phantom.grid import Field


@dataclass(frozen=True, kw_only=True)
class ScannerModel:
    """One scanner model.

    Attributes:
        manufacturer: as the brand writes it in (0008,0070).
        kernels: reconstruction kernels, soft to sharp.
        intercept: rescale intercept in HU; 0 where pixels hold HU.
        padding: raw value outside the field of view; None where the corners hold air.
        padding_tag: value of PixelPaddingValue (0028,0120), None where the tag is missing.
        signed: PixelRepresentation.
        noise_hu: standard deviation of the noise in soft tissue.
        grain_mm: width of the noise's grain; sharper kernels have a smaller one.
        transfer_syntax: UID of the pixel data's encoding.
    """

    manufacturer: str
    model: str
    kernels: tuple[str, str]
    intercept: int
    padding: int | None
    padding_tag: int | None
    signed: bool
    kvp: int
    noise_hu: float
    grain_mm: float
    transfer_syntax: str

    def acquire(self, hu: Field, pixel_spacing_mm: float, sharp: bool, rng: np.random.Generator) -> Field:
        """Blur an ideal image by the scanner's resolution and add its noise.

        Args:
            hu: axes (z, y, x).
            pixel_spacing_mm: in-plane spacing.
            sharp: whether the sharper of the two kernels is used.
            rng: source of the noise.
        """
        blur = (0.9 if sharp else 1.3) / pixel_spacing_mm / 2.0
        imaged: Field = ndimage.gaussian_filter(hu, (0.0, blur, blur), mode="nearest", truncate=3.0)
        grain = self.grain_mm * (0.6 if sharp else 1.0) / pixel_spacing_mm / 2.0
        noise = ndimage.gaussian_filter(rng.normal(size=hu.shape), (0.0, grain, grain), mode="wrap", truncate=3.0)
        # Filtering takes away variance; the scanner's noise is given after reconstruction.
        noise *= self.noise_hu * (1.5 if sharp else 1.0) / max(float(noise[0].std()), 1e-9)
        # Less is absorbed in lung and air, so the noise is weaker there.
        field: Field = imaged + noise * np.clip(0.45 + 0.55 * (imaged + 1000.0) / 1000.0, 0.3, 1.0)
        return field


SCANNERS: tuple[ScannerModel, ...] = (
    ScannerModel(
        manufacturer="SIEMENS", model="SOMATOM Scope", kernels=("B31s", "B41s"), intercept=-1024, padding=None,
        padding_tag=None, signed=False, kvp=110, noise_hu=16, grain_mm=1.6, transfer_syntax=JPEGLosslessSV1,
    ),
    ScannerModel(
        manufacturer="GE MEDICAL SYSTEMS", model="Optima CT520 Series", kernels=("STANDARD", "LUNG"), intercept=-1024,
        padding=-2000, padding_tag=63536, signed=True, kvp=120, noise_hu=18, grain_mm=1.4,
        transfer_syntax=ExplicitVRLittleEndian,
    ),
    ScannerModel(
        manufacturer="Philips", model="Ingenuity CT", kernels=("B", "YA"), intercept=-1000, padding=None,
        padding_tag=None, signed=False, kvp=120, noise_hu=15, grain_mm=1.8, transfer_syntax=RLELossless,
    ),
    ScannerModel(
        manufacturer="TOSHIBA", model="Aquilion", kernels=("FC07", "FC51"), intercept=0, padding=-2048,
        padding_tag=None, signed=True, kvp=120, noise_hu=17, grain_mm=1.5, transfer_syntax=ExplicitVRLittleEndian,
    ),
    ScannerModel(
        manufacturer="HITACHI", model="Supria", kernels=("11", "31"), intercept=0, padding=-2000, padding_tag=None,
        signed=True, kvp=120, noise_hu=20, grain_mm=1.7, transfer_syntax=JPEG2000Lossless,
    ),
    ScannerModel(
        manufacturer="Neusoft Medical Systems", model="NeuViz 16", kernels=("F20", "F60"), intercept=-1024,
        padding=None, padding_tag=None, signed=False, kvp=120, noise_hu=19, grain_mm=1.5,
        transfer_syntax=ExplicitVRLittleEndian,
    ),
)  # fmt: skip
