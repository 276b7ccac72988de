"""The files of a study, whether it comes as a folder, a zip, one file or bytes."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from covidctnet.config import ReaderConfig
from covidctnet.errors import NoStudyFoundError, UnreadableFileError
from covidctnet.parallel import map_on_cores

_ZIP_MAGIC = b"PK"
_AT_ONCE = 64
"""Files of a zip that are unpacked before the limits are looked at again."""


def read_files(source: Path | bytes, config: ReaderConfig) -> list[bytes]:
    """Read every file of a study, in the order of their names.

    Args:
        source: folder (searched through), zip, single file, or the bytes of a zip or file.
        config: `max_bytes` and `max_files` bound what is read, whatever a zip claims.

    Raises:
        NoStudyFoundError: nothing is there, or it holds no file.
        UnreadableFileError: a zip is damaged or encrypted, a file cannot be read, or there is more than
            `max_bytes` or `max_files`.
    """
    files: list[bytes] = []
    total = 0
    try:
        for data in _iterate(source, config.max_bytes):
            total += len(data)
            if total > config.max_bytes:
                raise _too_much(config.max_bytes)
            if len(files) == config.max_files:
                raise UnreadableFileError(f"there are more than {config.max_files} files (reader.max_files)")
            files.append(data)
    except OSError as error:
        place = f"file {len(files) + 1}"
        raise UnreadableFileError(f"{place} cannot be read ({type(error).__name__}); check its permissions") from None
    if not files:
        raise NoStudyFoundError("the input is empty: it holds no file; hand in a CT series")
    return files


def _iterate(source: Path | bytes, limit: int) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield from _unpack(io.BytesIO(source), limit) if source[:2] == _ZIP_MAGIC else [source]
    elif source.is_dir():
        for path in sorted(path for path in source.rglob("*") if path.is_file()):
            if path.stat().st_size > limit:
                raise _too_much(limit)
            yield path.read_bytes()
    elif source.is_file():
        with source.open("rb") as file:
            start = file.read(2)
            file.seek(0)
            if start == _ZIP_MAGIC:
                yield from _unpack(file, limit)
            elif source.stat().st_size > limit:
                raise _too_much(limit)
            else:
                yield file.read()
    else:
        raise NoStudyFoundError("there is no such file or folder; check the path of the study")


def _unpack(file: io.BytesIO | io.BufferedReader, limit: int) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(file) as archive:
            # Not `entry.is_dir()`, which fails on an empty name.
            files = (entry for entry in archive.infolist() if not entry.filename.endswith("/"))
            entries = sorted(files, key=lambda entry: entry.filename)
            if sum(entry.file_size for entry in entries) > limit:
                raise _too_much(limit)
            for number, entry in enumerate(entries, start=1):
                if entry.flag_bits & 1:
                    raise UnreadableFileError(f"file {number} of {len(entries)} in the zip is encrypted")

            def read(entry: zipfile.ZipInfo) -> bytes:
                # A zip may claim less than it expands to: no more than the claim is read.
                with archive.open(entry) as packed:
                    return packed.read(entry.file_size)

            for start in range(0, len(entries), _AT_ONCE):
                yield from map_on_cores(read, entries[start : start + _AT_ONCE])
    except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError, OSError) as error:
        raise UnreadableFileError(f"the zip cannot be read ({type(error).__name__}); send it again") from None
    except Exception as error:
        if type(error).__module__ in {"zlib", "_lzma"} or isinstance(error, RuntimeError):
            raise UnreadableFileError("the zip is damaged; send it again") from None
        raise


def _too_much(limit: int) -> UnreadableFileError:
    return UnreadableFileError(f"the study is larger than {limit / 1e9:.1f} GB (reader.max_bytes); send one series")
