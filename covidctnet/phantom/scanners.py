"""The twelve scanner models of five brands that the phantom cohort comes from; `docs/phantom.md` lists them.

Headers and pixels have the quirks of sample headers of these brands; noise and resolution are plausible values.
"""

from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from covidctnet.phantom.acquisition import ScannerModel

SCANNERS: tuple[ScannerModel, ...] = (
    ScannerModel(
        manufacturer="SIEMENS", model="SOMATOM Scope", kernels=("B41s", "B70s"), transfer_syntax=JPEGLosslessSV1,
        thickness_mm=2.0, spacing_mm=2.0, fields=(1.05, 1.15), noise_hu=16, grain_mm=1.6, kvp=110, bits_stored=12,
        padding=0, rescale_type=None, image_type=("CT_SOM5 SPI",),
    ),
    ScannerModel(
        manufacturer="GE MEDICAL SYSTEMS", model="Optima CT520 Series", kernels=("STANDARD", "LUNG"),
        transfer_syntax=ExplicitVRLittleEndian, thickness_mm=2.5, spacing_mm=2.5, fields=(1.08, 1.2), noise_hu=18,
        grain_mm=1.4, signed=True, padding=-2000, padding_tag=("US", 63536), position="FFS", spacing_sign=-1,
    ),
    ScannerModel(
        manufacturer="Philips", model="Ingenuity CT", kernels=("B", "YA"), transfer_syntax=RLELossless,
        thickness_mm=3.0, spacing_mm=1.5, fields=(1.08, 1.25), noise_hu=14, grain_mm=1.8, bits_stored=12,
        rescale_type=None, spacing_sign=1, numbered_from_head=False,
    ),
    ScannerModel(
        manufacturer="TOSHIBA", model="Aquilion", kernels=("FC07", "FC51"), transfer_syntax=ImplicitVRLittleEndian,
        thickness_mm=2.0, spacing_mm=2.0, fields=(1.15, 1.35), noise_hu=17, grain_mm=1.5, intercept=0, signed=True,
        padding=-2048, rescale_type=None,
    ),
    ScannerModel(
        manufacturer="Hitachi Medical Corporation", model="Supria", kernels=("11", "31"),
        transfer_syntax=JPEG2000Lossless, thickness_mm=2.5, spacing_mm=2.5, fields=(1.1, 1.3), noise_hu=20,
        grain_mm=1.7, intercept=0, bits_stored=13, signed=True, padding=-2000, rescale_type=None,
        image_type=("NORMAL",),
    ),
    ScannerModel(
        manufacturer="SIEMENS", model="SOMATOM Definition AS", kernels=("I31f", "I70f"),
        transfer_syntax=ExplicitVRLittleEndian, thickness_mm=1.5, spacing_mm=1.25, fields=(1.05, 1.2), noise_hu=21,
        grain_mm=1.3, kvp=100, bits_stored=12, rescale_type=None, image_type=("CT_SOM5 SPI",),
    ),
    ScannerModel(
        manufacturer="GE MEDICAL SYSTEMS", model="LightSpeed VCT", kernels=("STANDARD", "LUNG"),
        transfer_syntax=ImplicitVRLittleEndian, thickness_mm=1.25, spacing_mm=1.25, fields=(1.08, 1.25), noise_hu=24,
        grain_mm=1.4, signed=True, padding=-2000, padding_tag=("SS", -32768), rescale_type=None, position="FFS",
        spacing_sign=1,
    ),
    ScannerModel(
        manufacturer="Philips", model="iCT 256", kernels=("B", "L"), transfer_syntax=JPEGLSLossless, matrix=768,
        thickness_mm=2.0, spacing_mm=2.0, fields=(1.05, 1.2), noise_hu=19, grain_mm=1.2, blur_mm=1.0, intercept=-1000,
        bits_stored=12, rescale_type=None, spacing_sign=1, numbered_from_head=False,
    ),
    ScannerModel(
        manufacturer="TOSHIBA", model="Aquilion ONE", kernels=("FC08", "FC52"), transfer_syntax=JPEG2000Lossless,
        thickness_mm=1.0, spacing_mm=1.0, fields=(1.15, 1.3), noise_hu=23, grain_mm=1.3, intercept=0, signed=True,
        padding=-2048, rescale_type=None,
    ),
    ScannerModel(
        manufacturer="Hitachi Medical Corporation", model="SCENARIA", kernels=("21", "42"),
        transfer_syntax=JPEGLosslessSV1, thickness_mm=1.25, spacing_mm=1.25, fields=(1.1, 1.25), noise_hu=21,
        grain_mm=1.6, intercept=-1024, padding=0, rescale_type=None, image_type=("NORMAL",),
    ),
    ScannerModel(
        manufacturer="SIEMENS", model="SOMATOM Drive", kernels=("Br40d", "Br64d"), transfer_syntax=JPEGLosslessSV1,
        matrix=768, thickness_mm=1.5, spacing_mm=1.5, fields=(1.05, 1.15), noise_hu=18, grain_mm=1.2, blur_mm=1.0,
        bits_stored=12, image_type=("CT_SOM7 SPI DUAL",),
    ),
    ScannerModel(
        manufacturer="GE MEDICAL SYSTEMS", model="Revolution EVO", kernels=("STANDARD", "BONEPLUS"),
        transfer_syntax=RLELossless, thickness_mm=2.5, spacing_mm=2.0, fields=(1.08, 1.2), noise_hu=16, grain_mm=1.5,
        signed=True, padding=-2000, padding_tag=("SS", -2000), position="FFS", spacing_sign=-1,
    ),
)  # fmt: skip

SMALLEST_MATRIX = min(scanner.matrix for scanner in SCANNERS)
WIDEST_SPACING_MM = max(scanner.spacing_mm for scanner in SCANNERS)

SITES = tuple(f"phantom-{number}" for number in range(1, 6))
"""Five medical centres, as in the paper."""


def site_of(scanner: int) -> str:
    """The centre where a scanner stands, by its place in `SCANNERS`; each has two or three, of unlike brands."""
    return SITES[_PLACES[scanner]]


_PLACES = (0, 1, 2, 3, 4, 1, 2, 3, 4, 0, 4, 3)
