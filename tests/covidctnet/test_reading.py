from pathlib import Path

import numpy as np
import pytest

from covidctnet.config import ReaderConfig
from covidctnet.dicom.headers import find_ct_slices
from covidctnet.dicom.pixels import decode_slice
from covidctnet.errors import CovidCTNetError, GeometryError, ImplausibleImageError, UnreadableFileError
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


@pytest.mark.parametrize(("syntax", "name"), [("53", "Process 6 and 8"), ("55", "Process 10 and 12")])
def test_syntaxes_that_cannot_be_decoded_are_named(shared_data: Path, syntax: str, name: str) -> None:
    (path,) = (shared_data / SYNTAXES).glob(f"*1.2.4.{syntax}.dcm")
    with pytest.raises(UnreadableFileError, match=f"{name}.*cannot be decoded; send it uncompressed"):
        decode(path)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("ge_optimaCT520_GH1308.dcm", (512, 512)),
        ("ge_rhapsode_CT_small.dcm", (128, 128)),
        ("hitachi_supria_j2k_head.dcm", (512, 512)),
        ("neusoft_neuviz16_GH1728.dcm", (568, 652)),
        ("philips_ingenuity_tilt.dcm", (512, 512)),
        ("toshiba_xpressgx_CT2_UNC.dcm", (512, 512)),
    ],
)
def test_images_of_every_brand_decode_to_hounsfield_units(shared_data: Path, name: str, shape: tuple[int, int]) -> None:
    hu = decode(shared_data / HEADERS / name)
    assert hu.shape == shape
    assert -1024 <= hu.min() < -850
    assert 700 < hu.max() < 4000
