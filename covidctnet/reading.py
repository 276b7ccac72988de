"""The one way in: any study that a user hands over becomes a Volume, or is refused with the reason."""

from pathlib import Path

from covidctnet.config import ReaderConfig
from covidctnet.dicom.read import read_study
from covidctnet.plausibility import check_chest
from covidctnet.research_formats import is_research_format, read_research_volume
from covidctnet.volume import Volume


def read_volume(source: Path | bytes, config: ReaderConfig | None = None) -> Volume:
    """Read a chest CT.

    Args:
        source: folder, zip or file of DICOM images, the bytes of a zip or file, or the path of a NIfTI or
            NRRD file.
        config: what is accepted; the defaults when None.

    Returns:
        The volume, with z from feet to head, y from front to back and x from right to left.

    Raises:
        StudyError: nothing is readable, no series is suitable, its geometry is irregular, or it is no
            chest CT in Hounsfield units.
    """
    config = config or ReaderConfig()
    if isinstance(source, Path) and is_research_format(source):
        volume = read_research_volume(source, config)
    else:
        volume = read_study(source, config)
    return check_chest(volume, config)
