"""Reports over the wire are those that `covidctnet explain` draws, with the numbers of the JSON answer."""

import asyncio
import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from starlette.requests import ClientDisconnect

from covidctnet.reading import read_volume
from serving.transformer.reports import Report, ReportResponse
from tests.cli.test_commands import call
from tests.covidctnet.report.test_explain import answer_in, volume_in
from tests.helpers.serving import ZIP, Process
from tests.serving.conftest import Known
from tests.serving.test_parity import assert_same

TYPES = {"png": "image/png", "html": "text/html; charset=utf-8", "volume": "application/zip"}
SERVED = {"model_version", "request_id", "timings"}


def ask(server: Process, study: Known, kind: str) -> httpx.Response:
    url = f"{server.http}/v1/studies?report={kind}"
    return httpx.post(url, content=study.data, headers=ZIP, timeout=120)


@pytest.fixture(scope="module")
def offline(served_bundle: Path, studies: list[Known], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command draws of the second study."""
    folder = tmp_path_factory.mktemp("explain")
    (folder / "study.zip").write_bytes(studies[1].data)
    result = call("explain", folder / "study.zip", "--bundle", served_bundle, "--output", folder / "drawn")
    assert result.returncode == 0, result.stderr
    assert "Not a medical device" in result.stdout
    return folder / "drawn"


@pytest.mark.parametrize("kind", TYPES)
def test_a_report_holds_the_answer_of_the_predictor(server: Process, studies: list[Known], kind: str) -> None:
    response = ask(server, studies[1], kind)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == TYPES[kind]
    assert int(response.headers["content-length"]) == len(response.content)
    assert response.headers["x-request-id"] in response.headers["content-disposition"]
    answer = answer_in(kind, response.content)
    assert_same(answer, studies[1].answer)
    assert set(answer) - set(studies[1].answer) == SERVED
    assert answer["request_id"] == response.headers["x-request-id"]


@pytest.mark.slow
def test_the_command_draws_what_is_served(server: Process, studies: list[Known], offline: Path) -> None:
    assert_same(json.loads((offline / "answer.json").read_text()), studies[1].answer)
    for kind in ("png", "html"):
        drawn = (offline / f"report.{kind}").read_bytes()
        assert_same(answer_in(kind, drawn), studies[1].answer)
        served = ask(server, studies[1], kind).content
        assert pixels(kind, served).shape == pixels(kind, drawn).shape
        assert np.array_equal(pixels(kind, served), pixels(kind, drawn))
    archive = zipfile.ZipFile(io.BytesIO(ask(server, studies[1], "volume").content))
    for name in ("ct.nii.gz", "residual.nii.gz"):
        assert archive.read(name) == (offline / name).read_bytes()


def pixels(kind: str, data: bytes) -> Any:
    """The image of a picture, or of a page."""
    import base64

    from PIL import Image

    if kind == "html":
        data = base64.b64decode(data.split(b"data:image/png;base64,")[1].partition(b'"')[0])
    return np.asarray(Image.open(io.BytesIO(data)))


def test_the_served_volume_is_the_study(server: Process, studies: list[Known], tmp_path: Path) -> None:
    data = ask(server, studies[2], "volume").content
    volume = read_volume(studies[2].data)
    ct, residual = (volume_in(data, name, tmp_path) for name in ("ct.nii.gz", "residual.nii.gz"))
    assert np.array_equal(sitk.GetArrayFromImage(ct), np.rint(volume.hu))
    assert ct.GetOrigin() == pytest.approx(residual.GetOrigin())
    shown = sitk.GetArrayFromImage(residual)
    assert shown.shape == volume.hu.shape
    assert 0.01 < np.abs(shown).max() <= 1.0


def test_refusals_stay_json_whatever_report_was_asked_for(server: Process, studies: list[Known]) -> None:
    response = ask(server, studies[0], "pdf")
    assert response.status_code == 400
    assert "png, html, volume" in response.json()["detail"]
    for kind in TYPES:
        response = httpx.post(f"{server.http}/v1/studies?report={kind}", content=b"PK", headers=ZIP, timeout=60)
        assert response.status_code == 400
        assert response.json()["code"] == "unreadable_study"


@pytest.mark.parametrize("breaks", [False, True])
def test_the_file_of_a_report_is_let_go_of_whoever_goes_away(tmp_path: Path, breaks: bool) -> None:
    file = tempfile.TemporaryFile(dir=tmp_path)  # noqa: SIM115 - the response closes it
    size = file.write(bytes(3_000_000))
    file.seek(0)
    sent = 0

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        nonlocal sent
        sent += len(message.get("body", b""))
        if breaks and sent:
            raise OSError("the client went away")

    async def answer() -> None:
        scope = {"type": "http", "asgi": {"spec_version": "2.4"}}
        await ReportResponse(Report(kind="volume", file=file, size=size), "id", 60.0)(scope, receive, send)

    # What went wrong is kept, as a server keeps it for its log, and what it holds with it.
    if breaks:
        with pytest.raises(ClientDisconnect) as kept:
            asyncio.run(answer())
        assert kept.value is not None
    else:
        asyncio.run(answer())
        assert sent == size
    assert file.closed


def test_the_file_of_a_report_is_let_go_of_when_nobody_takes_it(tmp_path: Path) -> None:
    file = tempfile.TemporaryFile(dir=tmp_path)  # noqa: SIM115 - the response closes it
    report = Report(kind="volume", file=file, size=file.write(bytes(3_000_000)))
    file.seek(0)

    async def wait(message: Any = None) -> Any:
        await asyncio.Event().wait()

    async def answer() -> None:
        async with asyncio.timeout(20):
            await ReportResponse(report, "id", 0.1)({"type": "http", "asgi": {"spec_version": "2.4"}}, wait, wait)

    asyncio.run(answer())
    assert file.closed
