"""Studies that a client names by an address: only from the buckets and DICOMweb services that the settings list."""

import email.message
import posixpath
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser

from serving.errors import BadRequestError, NotReadyError, TooLargeError, UploadTimeoutError
from serving.settings import FetchSettings, UploadSettings
from serving.transformer.codecs.archives import require_zip
from serving.transformer.uploads import PartWriter

_CHUNK = 1 << 20
_LONGEST_URL = 2000
_ACCEPT = 'multipart/related; type="application/dicom"'


class Fetcher:
    """Fetches within the same limits as an upload.

    Args:
        settings: the allowed sources.
        limits: size, number of files.
    """

    def __init__(self, settings: FetchSettings, limits: UploadSettings) -> None:
        self._settings, self._limits = settings, limits

    def __call__(self, url: str, folder: Path) -> Path:
        """Get a study into an empty folder; blocks.

        Raises:
            BadRequestError: the address is not an allowed one, or holds no study.
            TooLargeError: the study is beyond a limit.
            UploadTimeoutError: it did not arrive in time.
            NotReadyError: the source cannot be reached.
        """
        if not (url.isascii() and url.isprintable()) or " " in url or len(url) > _LONGEST_URL:
            raise _not_allowed()
        try:
            parts = urlsplit(url)
        except ValueError:
            raise _not_allowed() from None
        if parts.scheme == "s3" and parts.netloc in self._settings.s3_buckets and len(parts.path) > 1:
            return self._fetch_object(parts.netloc, parts.path.lstrip("/"), folder)
        if self._is_allowed(url):
            return self._fetch_dicomweb(url, folder)
        raise _not_allowed()

    def _is_allowed(self, url: str) -> bool:
        parts = urlsplit(url)
        path = unquote(parts.path)
        # A path that climbs, or an address with a user or query, could leave the allowed beginning.
        plain = posixpath.normpath(path) == path.rstrip("/") and "\\" not in path and "%" not in path
        if not plain or parts.query or parts.fragment or "@" in parts.netloc:
            return False
        return any(url.startswith(beginning) for beginning in self._settings.dicomweb)

    def _fetch_object(self, bucket: str, key: str, folder: Path) -> Path:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        config = Config(
            connect_timeout=10, read_timeout=self._settings.seconds, retries={"max_attempts": 3, "mode": "standard"}
        )
        client = boto3.client("s3", endpoint_url=self._settings.s3_endpoint, config=config)
        path, size = folder / "study", 0
        deadline = time.monotonic() + self._settings.seconds
        try:
            body = client.get_object(Bucket=bucket, Key=key)["Body"]
            with path.open("wb") as file:
                for chunk in body.iter_chunks(_CHUNK):
                    size += len(chunk)
                    self._check(size, deadline)
                    file.write(chunk)
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            raise _unavailable(status) from None
        except BotoCoreError as error:
            raise NotReadyError(f"the bucket cannot be read ({type(error).__name__})", retry_after=5) from None
        require_zip(path, self._limits)
        return path

    def _fetch_dicomweb(self, url: str, folder: Path) -> Path:
        deadline, size = time.monotonic() + self._settings.seconds, 0
        writer = PartWriter(folder, self._limits.max_files)
        try:
            # Redirects are not followed: they could lead anywhere.
            with httpx.stream("GET", url, headers={"accept": _ACCEPT}, timeout=30, follow_redirects=False) as response:
                if response.status_code != httpx.codes.OK:
                    raise _unavailable(response.status_code)
                parser = MultipartParser(_boundary(response), writer.callbacks)
                for chunk in response.iter_bytes(_CHUNK):
                    size += len(chunk)
                    self._check(size, deadline)
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

    def _check(self, size: int, deadline: float) -> None:
        if size > self._limits.max_body_bytes:
            raise TooLargeError(f"the fetched study is larger than {self._limits.max_body_bytes / 1e6:.0f} MB")
        if time.monotonic() > deadline:
            raise UploadTimeoutError(f"fetching took longer than {self._settings.seconds:.0f} s (fetch.seconds)")


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
