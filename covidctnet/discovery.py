"""Find every CT series below a folder or in a zip, by the headers alone."""

import hashlib
import io
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.uid import MediaStorageDirectoryStorage

from covidctnet.config import ReaderConfig
from covidctnet.dicom.bounds import require_bounded_deflate
from covidctnet.dicom.headers import Slice
from covidctnet.dicom.series import group_series
from covidctnet.errors import NoStudyFoundError, StudyError, UnreadableFileError

_ZIP_MAGIC = b"PK"
_MAGIC = slice(128, 132)
_HEADER_TAGS = [
    "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "Modality", "ImageType", "SOPClassUID",
    "ConvolutionKernel", "Rows", "Columns", "SliceThickness", "PixelSpacing", "ImageOrientationPatient",
    "PerFrameFunctionalGroupsSequence",
]  # fmt: skip


@dataclass(frozen=True)
class FileInPlace:
    """A file on disk, or an entry of a zip on disk."""

    path: Path
    entry: str = ""

    def read(self, limit: int) -> bytes:
        """Its bytes.

        Raises:
            UnreadableFileError: it is larger than the limit, encrypted or damaged.
        """
        try:
            if not self.entry:
                if self.path.stat().st_size > limit:
                    raise UnreadableFileError(f"a file is larger than {limit / 1e9:.1f} GB (reader.max_file_bytes)")
                return self.path.read_bytes()
            with zipfile.ZipFile(self.path) as archive:
                return _read_entry(archive, archive.getinfo(self.entry), limit)
        except OSError as error:
            raise UnreadableFileError(f"a file cannot be read ({type(error).__name__})") from None


@dataclass(frozen=True, kw_only=True)
class FoundSeries:
    """The files of one series of one patient, with what labels and pseudonyms are looked up by.

    Attributes:
        place: "series 3 of 7", to name it without its patient.
        files: in the order of their names.
        patient_id, study_uid, series_uid: as the header says; they never leave the process.
        fault: why the series cannot be whole, empty where nothing is known.
    """

    place: str
    files: tuple[FileInPlace, ...]
    patient_id: str
    study_uid: str
    series_uid: str
    fault: str = ""

    def read(self, config: ReaderConfig) -> list[bytes]:
        """The files, each content once: exports often hold a series twice.

        Raises:
            UnreadableFileError: there is more than the reader takes, or a file cannot be read.
        """
        contents: dict[bytes, bytes] = {}
        total = 0
        for data in _read_all(self.files, config.max_file_bytes):
            if isinstance(data, UnreadableFileError):
                raise data
            total += len(data)
            if total > config.max_bytes:
                raise UnreadableFileError(
                    f"the series is larger than {config.max_bytes / 1e9:.1f} GB (reader.max_bytes)"
                )
            contents.setdefault(hashlib.sha256(data).digest(), data)
        return list(contents.values())


def find_series(path: Path, config: ReaderConfig) -> list[FoundSeries]:
    """Every CT series below a path, in an order that only depends on names and headers.

    A zip is a place of its own; loose files belong together wherever they lie, because exports spread one
    series over folders. A DICOM file that cannot be read puts all series of its zip or folder under doubt:
    any of them may miss a slice.

    Args:
        path: folder, zip or file.
        config: bounds of what is read.

    Raises:
        NoStudyFoundError: nothing is there, or nothing in it is a CT image.
    """
    if not path.exists():
        raise NoStudyFoundError("there is no such file or folder; check the path")
    paths = sorted(child for child in path.rglob("*") if child.is_file()) if path.is_dir() else [path]
    zips = [child for child in paths if _is_zip(child)]
    loose = [FileInPlace(child) for child in paths if child not in set(zips)]
    found: list[FoundSeries] = []
    for files, fault in [(loose, ""), *(_entries(archive) for archive in zips)]:
        found += _series_of(files, fault, config)
    if not found:
        raise NoStudyFoundError(f"none of the {len(paths)} files holds a CT image; hand in CT series")
    return [
        FoundSeries(**{**vars(series), "place": f"series {number} of {len(found)}"})
        for number, series in enumerate(found, start=1)
    ]


def _series_of(files: list[FileInPlace], fault: str, config: ReaderConfig) -> list[FoundSeries]:
    if fault:
        return [_faulty(fault)]
    images: dict[tuple[str, str], list[tuple[FileInPlace, FileDataset]]] = defaultdict(list)
    doubtful: set[Path] = set()
    for file, header in _headers(files, config):
        if header is None or (_is_ct(header) and "Rows" not in header):
            # A header that ends too early is a slice that is lost, not another kind of object.
            doubtful.add(_home(file))
        elif _is_ct(header):
            uid = _text(header, "SeriesInstanceUID")
            # Without an identifier the folder is all that tells two exports apart.
            apart = "" if len(uid) >= 16 else str(_home(file))
            images[_text(header, "PatientID"), apart].append((file, header))
    found = []
    for (patient, _), members in sorted(images.items(), key=lambda item: str(item[1][0][0].path)):
        slices = [Slice(index=number, place="", dataset=header) for number, (_, header) in enumerate(members)]
        for group in group_series(slices):
            chosen = tuple(members[image.index][0] for image in group)
            broken = any(_home(file) in doubtful for file in chosen)
            found.append(
                FoundSeries(
                    place="",
                    files=chosen,
                    patient_id=patient,
                    study_uid=group[0].text("StudyInstanceUID"),
                    series_uid=group[0].text("SeriesInstanceUID"),
                    fault="a file beside it is cut off or malformed: a slice may be missing" if broken else "",
                )
            )
    if doubtful and not found:
        return [_faulty("its files are cut off, malformed or cannot be read; send them again")]
    return found


def _faulty(reason: str) -> FoundSeries:
    return FoundSeries(place="", files=(), patient_id="", study_uid="", series_uid="", fault=reason)


def _headers(files: list[FileInPlace], config: ReaderConfig) -> Iterator[tuple[FileInPlace, FileDataset | None]]:
    """Headers of the DICOM files; None for one that should be read and cannot be."""
    for file, data in zip(files, _read_all(files, config.max_file_bytes), strict=True):
        if isinstance(data, UnreadableFileError):
            yield file, None
        elif data[_MAGIC] != b"DICM":
            header = _parse(data, force=True)
            if header is not None and "Rows" in header and "Modality" in header:
                yield file, header
        else:
            yield file, _parse_bounded(data, config)


def _parse_bounded(data: bytes, config: ReaderConfig) -> FileDataset | None:
    try:
        require_bounded_deflate(data, config.max_file_bytes, "a file")
    except StudyError:
        return None
    return _parse(data, force=False)


def _parse(data: bytes, *, force: bool) -> FileDataset | None:
    try:
        header = dcmread(io.BytesIO(data), stop_before_pixels=True, force=force, specific_tags=list(_HEADER_TAGS))
        for keyword in _HEADER_TAGS:
            header.get(keyword)
    except Exception:  # noqa: BLE001 - pydicom raises whatever a malformed element leads to
        return None
    return header


def _read_all(files: Sequence[FileInPlace], limit: int) -> Iterator[bytes | UnreadableFileError]:
    """Bytes of the files, or why one cannot be read; a zip stays open while its entries follow each other."""
    archive: zipfile.ZipFile | None = None
    opened: Path | None = None
    try:
        for file in files:
            try:
                if not file.entry:
                    yield file.read(limit)
                    continue
                if archive is None or file.path != opened:
                    if archive is not None:
                        archive.close()
                    archive, opened = zipfile.ZipFile(file.path), file.path
                yield _read_entry(archive, archive.getinfo(file.entry), limit)
            except UnreadableFileError as error:
                yield error
    finally:
        if archive is not None:
            archive.close()


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limit: int) -> bytes:
    if entry.flag_bits & 1:
        raise UnreadableFileError("the zip is encrypted")
    if entry.file_size > limit:
        raise UnreadableFileError(f"a file is larger than {limit / 1e9:.1f} GB (reader.max_file_bytes)")
    try:
        with archive.open(entry) as packed:
            return packed.read(entry.file_size)
    except Exception as error:  # noqa: BLE001 - decompressors raise whatever damaged data leads to
        raise UnreadableFileError(f"the zip is damaged ({type(error).__name__}); send it again") from None


def _entries(path: Path) -> tuple[list[FileInPlace], str]:
    """Files of a zip, or why it cannot be looked into."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = sorted((entry for entry in archive.infolist() if not entry.is_dir()), key=lambda e: e.filename)
            if any(entry.flag_bits & 1 for entry in entries):
                return [], "the zip is encrypted"
    except Exception as error:  # noqa: BLE001 - zipfile and decompressors raise whatever damaged data leads to
        return [], f"the zip cannot be read ({type(error).__name__}); send it again"
    return [FileInPlace(path, entry.filename) for entry in entries], ""


def _home(file: FileInPlace) -> Path:
    return file.path if file.entry else file.path.parent


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == _ZIP_MAGIC


def _is_ct(header: FileDataset) -> bool:
    kind = _text(header, "SOPClassUID") or str(header.file_meta.get("MediaStorageSOPClassUID", ""))
    return _text(header, "Modality") in {"CT", ""} and kind != MediaStorageDirectoryStorage


def _text(header: FileDataset, keyword: str) -> str:
    value = header.get(keyword)
    return "" if value is None else str(value).strip()
