"""The header of a packed case: what stands in it beside the images."""

import io
import re
import zipfile
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

_AGE = re.compile(r"(\d{3})([DWMY])")
_SEXES = frozenset({"F", "M", "O"})
_BANDS = ((65, "65+"), (45, "45-64"), (18, "18-44"), (0, "0-17"))
"""First year of each band, the highest first."""


def read_case_header(path: Path) -> Dataset:
    """Header of the first image of a case's zip."""
    with zipfile.ZipFile(path) as archive:
        first = min(entry.filename for entry in archive.infolist() if not entry.is_dir())
        return pydicom.dcmread(io.BytesIO(archive.read(first)), stop_before_pixels=True, force=True)


def sex_and_age_band(header: Dataset) -> tuple[str, str]:
    """PatientSex (0010,0040) and the band of PatientAge (0010,1010), where `data ingest --keep-age-and-sex` left them.

    Returns:
        F, M or O, and 0-17, 18-44, 45-64 or 65+ years; each empty where it is not known.
    """
    sex = str(header.get("PatientSex") or "").strip()
    age = _AGE.fullmatch(str(header.get("PatientAge") or "").strip())
    band = ""
    if age:
        years = int(age.group(1)) if age.group(2) == "Y" else 0
        # Days, weeks and months are written for children.
        band = next(name for first, name in _BANDS if years >= first)
    return sex if sex in _SEXES else "", band
