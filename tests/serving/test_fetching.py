"""Studies are fetched from the listed sources, over real HTTP, and from nowhere else."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.errors import BadRequestError, NotReadyError, TooLargeError
from serving.settings import FetchSettings, UploadSettings
from serving.transformer.fetching import Fetcher
from tests.helpers.series import make_files, zip_of

FILES = make_files()[:3]


class Service(http.server.BaseHTTPRequestHandler):
    """A DICOMweb service, and an S3 endpoint, that know one study."""

    def do_GET(self) -> None:
        if self.path.startswith("/dicom-web/studies/1.2"):
            parts = b"".join(b"--b\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n" for data in FILES)
            self._answer(200, 'multipart/related; type="application/dicom"; boundary=b', parts + b"--b--\r\n")
        elif self.path == "/dicom-web/moved":
            self.send_response(302)
            self.send_header("location", "/dicom-web/studies/1.2")
            self.end_headers()
        elif self.path == "/dicom-web/page":
            self._answer(200, "text/html", b"<html>")
        elif self.path == "/dicom-web/down":
            self._answer(502, "text/html", b"down")
        elif self.path == "/cases/one.zip":
            self._answer(200, "application/zip", zip_of(FILES))
        else:
            self._answer(404, "application/xml", b"<Error><Code>NoSuchKey</Code></Error>")

    def log_message(self, *arguments: object) -> None:
        pass

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def source() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def fetch(source: str, monkeypatch: pytest.MonkeyPatch) -> Fetcher:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    settings = FetchSettings(s3_buckets=("cases",), s3_endpoint=source, dicomweb=(f"{source}/dicom-web/",))
    return Fetcher(settings, UploadSettings())


def test_a_series_comes_from_dicomweb(fetch: Fetcher, source: str, tmp_path: Path) -> None:
    folder = fetch(f"{source}/dicom-web/studies/1.2/series/3", tmp_path)
    assert [path.read_bytes() for path in sorted(folder.iterdir())] == FILES


def test_a_zip_comes_from_a_bucket(fetch: Fetcher, tmp_path: Path) -> None:
    assert fetch("s3://cases/one.zip", tmp_path).read_bytes() == zip_of(FILES)
    with pytest.raises(BadRequestError, match="status 404"):
        fetch("s3://cases/absent.zip", tmp_path)


@pytest.mark.parametrize(
    "path",
    [
        "/elsewhere/studies/1.2",
        "/dicom-web/../elsewhere",
        "/dicom-web/%2e%2e/elsewhere",
        "/dicom-web/%252e%252e/elsewhere",
        "/dicom-web/a//b",
        "/dicom-web/studies/1.2?x=1",
        "/dicom-web/studies/1.2#x",
        "/dicom-web/\\..\\elsewhere",
    ],
)
def test_a_path_outside_of_the_listed_beginning_is_refused(
    fetch: Fetcher, source: str, path: str, tmp_path: Path
) -> None:
    with pytest.raises(BadRequestError, match="not fetched from this address"):
        fetch(source + path, tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "s3://others/one.zip",
        "s3:///one.zip",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:80@evil.example/dicom-web/",
        "",
        "::::",
        "http://[",
    ],
)
def test_any_other_source_is_refused(fetch: Fetcher, url: str, tmp_path: Path) -> None:
    with pytest.raises(BadRequestError, match="not fetched from this address"):
        fetch(url, tmp_path)


def test_what_a_source_may_do_wrong(fetch: Fetcher, source: str, tmp_path: Path) -> None:
    for path, kind in (("page", BadRequestError), ("absent", BadRequestError), ("moved", NotReadyError)):
        with pytest.raises(kind):
            fetch(f"{source}/dicom-web/{path}", tmp_path)
    with pytest.raises(NotReadyError, match="status 502"):
        fetch(f"{source}/dicom-web/down", tmp_path)


def test_limits_hold_for_fetched_studies(source: str, tmp_path: Path) -> None:
    settings = FetchSettings(dicomweb=(f"{source}/dicom-web/",))
    few = Fetcher(settings, UploadSettings(max_files=2))
    with pytest.raises(TooLargeError, match="more than 2 files"):
        few(f"{source}/dicom-web/studies/1.2", tmp_path)
