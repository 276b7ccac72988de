from pathlib import Path

import numpy as np
import pytest

from covidctnet.config import ReaderConfig
from covidctnet.dicom.headers import find_ct_slices
from covidctnet.dicom.pixels import decode_slice
from covidctnet.errors import (
    CovidCTNetError,
    GeometryError,
    ImplausibleImageError,
    UnreadableFileError,
    UnsuitableSeriesError,
)
from covidctnet.reading import read_volume

HEADERS = "headers"
SYNTAXES = "headers/ge_hispeed_chest_transfer_syntaxes"
pytestmark = pytest.mark.real_data


@pytest.mark.parametrize(
    ("name", "slices", "spacing", "kernel"),
    [("covid-a", 133, 0.6035, "D40s"), ("cap-a", 131, 0.6309, "D40s"), ("control-a", 167, 0.75, "B41s")],
)
def test_the_real_chest_series_read_whole(
    shared_data: Path, name: str, slices: int, spacing: float, kernel: str
) -> None:
    volume = read_volume(shared_data / "series" / f"{name}.zip")
    assert volume.hu.shape == (slices, 512, 512)
    assert volume.spacing_mm == pytest.approx((2.0, spacing, spacing), abs=1e-3)
    assert str(volume.scanner) == "Siemens SOMATOM Scope"
    assert volume.scanner.kernel == kernel
    # Spine and table are at the back: bone lies there.
    assert np.mean(volume.hu[:, 256:] > 300) > np.mean(volume.hu[:, :256] > 300)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("series/head-tilted.zip", GeometryError, r"tilted by 18\.5 degrees"),
        ("other/example_ct.nii.gz", ImplausibleImageError, "lung fills"),
        ("golden/pnoise2.npz", CovidCTNetError, "none of the|is DICOM|no CT"),
    ],
)
def test_what_is_no_upright_chest_is_refused(
    shared_data: Path, name: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_volume(shared_data / name)


def test_a_research_volume_reads_in_the_same_axes(shared_data: Path) -> None:
    volume = read_volume(shared_data / "other" / "lung1_image.nrrd")
    assert volume.hu.shape == (48, 512, 512)
    assert volume.spacing_mm[0] == pytest.approx(5.0)
    assert any("no scanner is known" in warning for warning in volume.warnings)


def decode(path: Path) -> np.ndarray:
    return decode_slice(find_ct_slices([path.read_bytes()], ReaderConfig())[0])


def test_every_lossless_transfer_syntax_decodes_to_the_same_image(shared_data: Path) -> None:
    files = {path.name.split("TransferSyntax_")[1][:-4]: path for path in (shared_data / SYNTAXES).iterdir()}
    reference = decode(files["1.2.840.10008.1.2.1"])
    lossless = ["1.2", "1.2.2", "1.2.1.99", "1.2.5", "1.2.4.57", "1.2.4.70", "1.2.4.80", "1.2.4.90"]
    for syntax in lossless:
        np.testing.assert_array_equal(decode(files["1.2.840.10008." + syntax]), reference)
    for syntax, limit in (("1.2.4.91", 2.0), ("1.2.4.81", 2.0), ("1.2.4.51", 60.0)):
        assert np.abs(decode(files["1.2.840.10008." + syntax]) - reference).mean() < limit


FEW, DERIVED, CAPTURE = "1 slices: fewer than 12", "1 slices: derived images", "1 slices: secondary capture"
"""Why a single image is no series, by what its ImageType says."""

GE = f"{SYNTAXES}/CTImage.dcm_{{}}TransferSyntax_1.2.840.10008.1.2{{}}.dcm"
OUTCOMES: dict[str, tuple[tuple[int, int] | str, str]] = {
    GE.format("LittleEndianImplicit", ""): ((512, 512), FEW),
    GE.format("LittleEndianExplicit", ".1"): ((512, 512), FEW),
    GE.format("DeflatedExplicitVRLittleEndian", ".1.99"): ((512, 512), FEW),
    GE.format("BigEndianExplicit", ".2"): ((512, 512), FEW),
    GE.format("RLELossless", ".5"): ((512, 512), FEW),
    GE.format("JPEGProcess1", ".4.50"): ((512, 512), DERIVED),
    GE.format("JPEGProcess2_4", ".4.51"): ((512, 512), DERIVED),
    GE.format("JPEGProcess6_8", ".4.53"): ("Process 6 and 8.*cannot be decoded; send it uncompressed", DERIVED),
    GE.format("JPEGProcess10_12", ".4.55"): ("Process 10 and 12.*cannot be decoded; send it uncompressed", DERIVED),
    GE.format("JPEGProcess14", ".4.57"): ((512, 512), FEW),
    GE.format("JPEGProcess14SV1", ".4.70"): ((512, 512), FEW),
    GE.format("JPEGLSLossless", ".4.80"): ((512, 512), FEW),
    GE.format("JPEGLSLossy", ".4.81"): ((512, 512), DERIVED),
    GE.format("JPEG2000LosslessOnly", ".4.90"): ((512, 512), FEW),
    GE.format("JPEG2000", ".4.91"): ((512, 512), DERIVED),
    f"{HEADERS}/ge_optimaCT520_GH1308.dcm": ((512, 512), FEW),
    f"{HEADERS}/ge_rhapsode_CT_small.dcm": ((128, 128), FEW),
    f"{HEADERS}/hitachi_supria_j2k_head.dcm": ((512, 512), FEW),
    f"{HEADERS}/neusoft_neuviz16_GH1728.dcm": ((568, 652), DERIVED),
    f"{HEADERS}/philips_ingenuity_tilt.dcm": ((512, 512), FEW),
    f"{HEADERS}/toshiba_xpressgx_CT2_UNC.dcm": ((512, 512), CAPTURE),
}
"""Each single image: its shape or why it does not decode, and why it alone is no series."""


def test_no_image_is_left_out(shared_data: Path) -> None:
    assert {str(path.relative_to(shared_data)) for path in (shared_data / HEADERS).rglob("*.dcm")} == set(OUTCOMES)


@pytest.mark.parametrize("name", OUTCOMES)
def test_every_image_decodes_to_hounsfield_units_or_says_why_not(shared_data: Path, name: str) -> None:
    outcome, reason = OUTCOMES[name]
    if isinstance(outcome, str):
        with pytest.raises(UnreadableFileError, match=outcome):
            decode(shared_data / name)
    else:
        hu = decode(shared_data / name)
        assert hu.shape == outcome
        assert -1024 <= hu.min() < -850
        assert 700 < hu.max() < 4000
    with pytest.raises(UnsuitableSeriesError, match=reason):
        read_volume(shared_data / name)
