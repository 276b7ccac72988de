from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from covidctnet.config import ReaderConfig
from covidctnet.errors import GeometryError, NoStudyFoundError, UnreadableFileError
from covidctnet.reading import read_volume
from covidctnet.research_formats import read_research_volume
from tests.helpers.series import crude_chest


def image_of(hu: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing((6.0, 6.0, 10.0))
    return image


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd"])
@pytest.mark.parametrize("turned", [False, True])
def test_a_research_volume_comes_in_the_readers_axes(tmp_path: Path, ending: str, turned: bool) -> None:
    image = image_of(crude_chest())
    if turned:
        image = sitk.DICOMOrient(image, "RAS")
    sitk.WriteImage(image, str(tmp_path / f"v{ending}"))
    volume = read_volume(tmp_path / f"v{ending}")
    np.testing.assert_array_equal(volume.hu, crude_chest())
    assert volume.spacing_mm == pytest.approx((10.0, 6.0, 6.0))


def test_what_is_no_regular_volume_is_refused(tmp_path: Path) -> None:
    def write(image: sitk.Image) -> Path:
        sitk.WriteImage(image, str(tmp_path / "v.nrrd"))
        return tmp_path / "v.nrrd"

    oblique = image_of(crude_chest())
    c, s = np.cos(0.3), np.sin(0.3)
    oblique.SetDirection((c, -s, 0, s, c, 0, 0, 0, 1))
    with pytest.raises(GeometryError, match=r"oblique by 17\.2 degrees"):
        read_research_volume(write(oblique), ReaderConfig())
    with pytest.raises(GeometryError, match="three axes"):
        read_research_volume(write(sitk.GetImageFromArray(crude_chest()[0])), ReaderConfig())
    coarse = image_of(crude_chest())
    coarse.SetSpacing((6.0, 6.0, 20.0))
    with pytest.raises(GeometryError, match=r"20\.0 mm apart"):
        read_research_volume(write(coarse), ReaderConfig())
    with pytest.raises(UnreadableFileError, match=r"more than reader\.max_bytes"):
        read_research_volume(write(image_of(np.zeros((70, 64, 64), np.int16))), ReaderConfig(max_bytes=1_000_000))
    (tmp_path / "v.nrrd").write_bytes(b"junk")
    with pytest.raises(UnreadableFileError, match="damaged or of another format"):
        read_research_volume(tmp_path / "v.nrrd", ReaderConfig())
    with pytest.raises(NoStudyFoundError, match="no such file"):
        read_research_volume(tmp_path / "absent.nii", ReaderConfig())
