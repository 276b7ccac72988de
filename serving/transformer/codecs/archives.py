"""What a study may expand to, looked at before anything is unpacked."""

import mmap
import zipfile
from pathlib import Path

from serving.errors import BadRequestError, TooLargeError
from serving.settings import UploadSettings

_ZIP_MAGIC = b"PK"
_ENTRY = b"PK\x01\x02"


def is_zip(path: Path) -> bool:
    """Whether a file begins as a zip does."""
    with path.open("rb") as file:
        return file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC


def require_zip(path: Path, limits: UploadSettings) -> None:
    """Check that a file is a zip within the limits; one that is damaged is left to the reader to refuse.

    Raises:
        BadRequestError: it is no zip.
        TooLargeError: too many files, or it expands to too much.
    """
    if not is_zip(path):
        raise BadRequestError("the study is no zip: it does not begin with PK; send a zip of DICOM files")
    if _count_entries(path, limits.max_files) > limits.max_files:
        raise TooLargeError(f"the zip holds more than {limits.max_files} files (upload.max_files); send one series")
    try:
        with zipfile.ZipFile(path) as archive:
            expanded = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return
    if expanded > limits.max_expanded_bytes:
        raise TooLargeError(
            f"the zip expands to {expanded / 1e6:.0f} MB, more than {limits.max_expanded_bytes / 1e6:.0f} MB "
            "(upload.max_expanded_bytes); send one series"
        )
    if expanded > max(limits.free_expansion_bytes, limits.max_expansion * path.stat().st_size):
        raise TooLargeError(
            f"the zip expands {expanded / path.stat().st_size:.0f} times, more than {limits.max_expansion:.0f} "
            "(upload.max_expansion); CT images do not"
        )


def _count_entries(path: Path, enough: int) -> int:
    """Directory entries, without building a list of what may be millions; stops beyond `enough`."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        count, place = 0, data.find(_ENTRY)
        while place >= 0 and count <= enough:
            count, place = count + 1, data.find(_ENTRY, place + 4)
    return count
