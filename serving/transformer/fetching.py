"""Studies that a client names by an address: only from the buckets and DICOMweb services that the settings list."""

import email.message
import posixpath
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser

from serving.admission import Job
from serving.errors import BadRequestError, NotReadyError, TooLargeError, UploadTimeoutError
from serving.settings import FetchSettings, UploadSettings
from serving.transformer.codecs.archives import require_zip
from serving.transformer.uploads import PartWriter

_CHUNK = 1 << 16
_LONGEST_URL = 2000
_SILENCE_SECONDS, _TRIES = 30.0, 3
"""For so long a source may say nothing, so often an object is asked for: none of it beyond the request's deadline."""

_ACCEPT = 'multipart/related; type="application/dicom"'


class Fetcher:
    """Fetches within the same limits as an upload.

    Args:
        settings: the allowed sources.
        limits: size, number of files.
    """

    def __init__(self, settings: FetchSettings, limits: UploadSettings) -> None:
        self._settings, self._limits = settings, limits

    def __call__(self, url: str, folder: Path, job: Job, most: int) -> Path:
        """Get a study into an empty folder; blocks, and ends early where the job is stopped.

        Args:
            url: as the client names it.
            folder: receives the study.
            job: of the request.
            most: bytes that the request may still bring.

        Raises:
            BadRequestError: the address is not an allowed one, or holds no study.
            TooLargeError: the study is beyond a limit.
            UploadTimeoutError: it did not arrive in time.
            NotReadyError: the source cannot be reached.
            LateError, StoppedError: nobody waits for the answer any more.
        """
        if not (url.isascii() and url.isprintable()) or " " in url or len(url) > _LONGEST_URL:
            raise _not_allowed()
        download = _Download(job, min(most, self._limits.max_body_bytes), self._settings.seconds)
        bucket, _, key = url.removeprefix("s3://").partition("/")
        try:
            # A key is all that follows the bucket: what looks like a query or a fragment is part of its name.
            if url.startswith("s3://") and key and bucket in self._settings.s3_buckets:
                return self._fetch_object(bucket, key, folder, download)
            if self._is_allowed(url):
                return self._fetch_dicomweb(url, folder, download)
        except NotReadyError:
            # A source that was silent up to the deadline is late, and one that nobody waits for is no failure.
            job.check()
            raise
        raise _not_allowed()

    def _is_allowed(self, url: str) -> bool:
        try:
            parts = urlsplit(url)
        except ValueError:
            return False
        path = unquote(parts.path)
        # A path that climbs, or an address with a user or query, could leave the allowed beginning; servlet containers
        # take `..;` for `..`.
        plain = posixpath.normpath(path) == path.rstrip("/") and not set("\\%;") & set(path)
        if not plain or parts.query or parts.fragment or "@" in parts.netloc:
            return False
        return any(url.startswith(beginning) for beginning in self._settings.dicomweb)

    def _fetch_object(self, bucket: str, key: str, folder: Path, download: "_Download") -> Path:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        config = Config(
            connect_timeout=download.silence / _TRIES,
            read_timeout=download.silence / _TRIES,
            retries={"total_max_attempts": _TRIES, "mode": "standard"},
        )
        client = boto3.client("s3", endpoint_url=self._settings.s3_endpoint, config=config)
        path = folder / "study"
        try:
            body = client.get_object(Bucket=bucket, Key=key)["Body"]
            with path.open("wb") as file:
                for chunk in body.iter_chunks(_CHUNK):
                    download.count(chunk)
                    file.write(chunk)
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            raise _unavailable(status) from None
        except BotoCoreError as error:
            raise NotReadyError(f"the bucket cannot be read ({type(error).__name__})", retry_after=5) from None
        require_zip(path, self._limits)
        return path

    def _fetch_dicomweb(self, url: str, folder: Path, download: "_Download") -> Path:
        writer = PartWriter(folder, self._limits.max_files)
        try:
            # Redirects are not followed: they could lead anywhere.
            with httpx.stream(
                "GET", url, headers={"accept": _ACCEPT}, timeout=download.silence, follow_redirects=False
            ) as response:
                if response.status_code != httpx.codes.OK:
                    raise _unavailable(response.status_code)
                parser = MultipartParser(_boundary(response), writer.callbacks)
                # As they come: a slow source would take minutes to fill pieces of a given size, unlooked at.
                for chunk in response.iter_bytes():
                    download.count(chunk)
                    parser.write(chunk)
        except httpx.HTTPError as error:
            raise NotReadyError(f"the DICOMweb service failed ({type(error).__name__})", retry_after=5) from None
        except MultipartParseError:
            raise BadRequestError("the DICOMweb service answered no well-formed multipart body") from None
        finally:
            writer.close()
        if not writer.complete or writer.count == 0:
            raise BadRequestError("the DICOMweb service answered no complete series")
        return folder


class _Download:
    """One study on its way: how much and how long it may take."""

    def __init__(self, job: Job, most: int, seconds: float) -> None:
        self._job, self._most, self._seconds = job, most, seconds
        self._deadline, self._size = time.monotonic() + seconds, 0

    @property
    def silence(self) -> float:
        """Seconds for which the source may say nothing from now on."""
        return max(0.1, min(_SILENCE_SECONDS, self._seconds, self._job.remaining))

    def count(self, chunk: bytes) -> None:
        """Refuse to go on where it is too much, takes too long, or nobody waits for it."""
        self._job.check()
        self._size += len(chunk)
        if self._size > self._most:
            raise TooLargeError(
                f"what the request fetches is larger than {self._most / 1e6:.0f} MB (upload.max_body_bytes)"
            )
        if time.monotonic() > self._deadline:
            raise UploadTimeoutError(f"fetching took longer than {self._seconds:.0f} s (fetch.seconds)")


def _boundary(response: httpx.Response) -> bytes:
    message = email.message.Message()
    message["content-type"] = response.headers.get("content-type", "")
    boundary = message.get_param("boundary")
    if message.get_content_maintype() != "multipart" or not isinstance(boundary, str):
        raise BadRequestError("the DICOMweb service answered no multipart body")
    return boundary.encode()


def _not_allowed() -> BadRequestError:
    return BadRequestError("studies are not fetched from this address; see fetch in the serving settings")


def _unavailable(status: int) -> BadRequestError | NotReadyError:
    if 400 <= status < 500:
        return BadRequestError(f"the source has no such study, or does not give it away (status {status})")
    return NotReadyError(f"the source failed (status {status})", retry_after=5)
