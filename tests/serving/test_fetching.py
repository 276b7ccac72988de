"""Studies are fetched from the listed sources, over real HTTP, and from nowhere else."""

import contextlib
import http.server
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serving.admission import Job
from serving.errors import BadRequestError, LateError, NotReadyError, StoppedError, TooLargeError
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
        elif self.path == "/dicom-web/slow":
            self.send_response(200)
            self.send_header("content-type", "multipart/related; boundary=b")
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                while not self.server.stopped.wait(0.1):  # type: ignore[attr-defined]
                    self.wfile.write(b"--b\r\nContent-Type: application/dicom\r\n\r\nx\r\n")
        elif self.path in {"/cases/one.zip", "/cases/one.zip%3Fversion%3D2", "/cases//one.zip"}:
            self._answer(200, "application/zip", zip_of(FILES[: 1 if "%" in self.path else 3]))
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
    server.stopped = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.stopped.set()  # type: ignore[attr-defined]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def fetch(source: str, monkeypatch: pytest.MonkeyPatch) -> Fetcher:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    settings = FetchSettings(s3_buckets=("cases",), s3_endpoint=source, dicomweb=(f"{source}/dicom-web/",))
    return Fetcher(settings, UploadSettings())


def get(fetch: Fetcher, url: str, folder: Path, job: Job | None = None, most: int = 2**31) -> Path:
    return fetch(url, folder, job or Job("id", 60.0), most)


def test_a_series_comes_from_dicomweb(fetch: Fetcher, source: str, tmp_path: Path) -> None:
    folder = get(fetch, f"{source}/dicom-web/studies/1.2/series/3", tmp_path)
    assert [path.read_bytes() for path in sorted(folder.iterdir())] == FILES


def test_a_zip_comes_from_a_bucket(fetch: Fetcher, tmp_path: Path) -> None:
    assert get(fetch, "s3://cases/one.zip", tmp_path).read_bytes() == zip_of(FILES)
    with pytest.raises(BadRequestError, match="status 404"):
        get(fetch, "s3://cases/absent.zip", tmp_path)


def test_a_key_is_never_cut_short(fetch: Fetcher, tmp_path: Path) -> None:
    """Without what looks like a query, it would be the name of another study."""
    assert get(fetch, "s3://cases/one.zip?version=2", tmp_path).read_bytes() == zip_of(FILES[:1])
    for other in ("one.zip#x", "one.zip?x"):
        with pytest.raises(BadRequestError, match="status 404"):
            get(fetch, f"s3://cases/{other}", tmp_path)


def test_fetching_ends_with_its_request(fetch: Fetcher, source: str, tmp_path: Path) -> None:
    slow = f"{source}/dicom-web/slow"
    with pytest.raises(LateError):
        get(fetch, slow, tmp_path, Job("id", 0.5))
    job = Job("id", 60.0)
    with ThreadPoolExecutor(1) as pool:
        fetched = pool.submit(get, fetch, slow, tmp_path, job)
        while not any(tmp_path.iterdir()):
            time.sleep(0.05)
        job.stop()
        with pytest.raises(StoppedError):
            fetched.result(30)


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
        "/dicom-web/..;/elsewhere",
    ],
)
def test_a_path_outside_of_the_listed_beginning_is_refused(
    fetch: Fetcher, source: str, path: str, tmp_path: Path
) -> None:
    with pytest.raises(BadRequestError, match="not fetched from this address"):
        get(fetch, source + path, tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "s3://others/one.zip",
        "s3:///one.zip",
        "s3://cases",
        "s3://cases/",
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
        get(fetch, url, tmp_path)


def test_what_a_source_may_do_wrong(fetch: Fetcher, source: str, tmp_path: Path) -> None:
    for path, kind in (("page", BadRequestError), ("absent", BadRequestError), ("moved", NotReadyError)):
        with pytest.raises(kind):
            get(fetch, f"{source}/dicom-web/{path}", tmp_path)
    with pytest.raises(NotReadyError, match="status 502"):
        get(fetch, f"{source}/dicom-web/down", tmp_path)


def test_limits_hold_for_fetched_studies(source: str, tmp_path: Path) -> None:
    settings = FetchSettings(dicomweb=(f"{source}/dicom-web/",))
    few = Fetcher(settings, UploadSettings(max_files=2))
    with pytest.raises(TooLargeError, match="more than 2 files"):
        get(few, f"{source}/dicom-web/studies/1.2", tmp_path)
    with pytest.raises(TooLargeError, match="larger than"):
        get(Fetcher(settings, UploadSettings()), f"{source}/dicom-web/studies/1.2", tmp_path, most=1000)
