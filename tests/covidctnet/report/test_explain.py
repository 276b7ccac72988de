"""The reports of one study: the answer's numbers, voxels where they were, nothing of the headers."""

import gzip
import io
import json
import re
import struct
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from PIL import Image

from covidctnet.bundle import Bundle
from covidctnet.predictor import NOT_JUDGED, Predictor
from covidctnet.report.explain import KINDS, save_reports, write_report
from covidctnet.report.explained import ExplainedStudy
from covidctnet.report.nifti import RESIDUAL_STEPS, write_marks, write_residual
from covidctnet.volume import Scanner, Volume
from tests.covidctnet.test_lungs import chest
from tests.helpers.bundles import untrained_bundle

NAME = "DOE^JANE"
ODD = f"<script>alert('{NAME}')</script> $\\frac{{$ 心"
SPACING, ORIGIN = (5.0, 4.0, 3.5), (-160.0, -140.5, -300.25)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return untrained_bundle(tmp_path_factory.mktemp("explained") / "bundle")


@pytest.fixture(scope="module")
def study(bundle: Bundle) -> ExplainedStudy:
    hu = chest()
    hu[8:14, 30:40, 16:26] = -200.0
    volume = Volume(hu=hu, spacing_mm=SPACING, origin_mm=ORIGIN, scanner=Scanner(manufacturer="Siemens", model=ODD))
    examination = Predictor.load(bundle.folder).examine(volume)
    return ExplainedStudy(
        volume=volume, examination=examination, document=asdict(examination.answer), config=bundle.config
    )


@pytest.fixture(scope="module")
def reports(study: ExplainedStudy) -> dict[str, bytes]:
    """Every report, drawn once for the tests that only look at it."""
    return {kind: written(kind, study) for kind in KINDS}


def written(kind: Any, study: ExplainedStudy) -> bytes:
    file = io.BytesIO()
    write_report(kind, study, file)
    return file.getvalue()


def answer_in(kind: str, data: bytes) -> Any:
    """The answer that a machine finds in a report."""
    if kind == "png":
        return json.loads(Image.open(io.BytesIO(data)).text["answer"])
    if kind == "html":
        (found,) = re.findall(r'<script type="application/json" id="answer">(.*?)</script>', data.decode(), re.DOTALL)
        return json.loads(found)
    return json.loads(zipfile.ZipFile(io.BytesIO(data)).read("answer.json"))


def volume_in(data: bytes, name: str, folder: Path) -> Any:
    path = folder / name
    path.write_bytes(zipfile.ZipFile(io.BytesIO(data)).read(name))
    return sitk.ReadImage(str(path))


@pytest.mark.parametrize("kind", KINDS)
def test_every_report_carries_the_answer(kind: Any, study: ExplainedStudy, reports: dict[str, bytes]) -> None:
    assert answer_in(kind, reports[kind]) == json.loads(json.dumps(study.document))


def test_the_picture_shows_images_and_words(study: ExplainedStudy, reports: dict[str, bytes]) -> None:
    picture = np.asarray(Image.open(io.BytesIO(reports["png"])).convert("RGB"), float)
    height, width, _ = picture.shape
    assert (width, height) > (900, 900)
    words, images = picture[: height // 4], picture[height // 4 :]
    assert words.std() > 10
    assert images.std() > 40
    other = replace(study, document=study.document | {"label": NOT_JUDGED, "covid_positive": None})
    changed = np.asarray(Image.open(io.BytesIO(written("png", other))).convert("RGB"), float)
    assert np.array_equal(images, changed[height // 4 :])
    assert not np.array_equal(words, changed[: height // 4])


def test_the_page_says_the_answers_numbers_and_escapes_what_a_header_says(
    study: ExplainedStudy, reports: dict[str, bytes]
) -> None:
    page = reports["html"].decode()
    document = study.document
    shown = re.findall(
        r'<tr><th scope="row">([^<]+)</th><td class="number">([\d.]+)</td>\s*<td><div class="meter"', page
    )
    assert dict(shown) == {name: f"{value:.3f}" for name, value in document["probabilities"].items()}
    assert f"threshold {document['covid_threshold']:.3f}" in page
    assert document["burden"]["words"] in page
    for focus in document["burden"]["foci"]:
        assert f'<td class="number">{focus["centre_voxel"][0] + 1}</td>' in page
    assert document["pair_id"] in page
    assert page.count("<script") == 1
    assert "&lt;script&gt;" in page
    assert not re.search(r'(?:src|href)="(?!data:)', page)
    assert 'role="alert"' not in page
    unjudged = replace(study, document=document | {"label": NOT_JUDGED, "covid_positive": None})
    page = written("html", unjudged).decode()
    assert "probabilities below mean nothing" in page
    assert "read-out" not in page


def test_volumes_lie_where_the_study_lay(study: ExplainedStudy, reports: dict[str, bytes], tmp_path: Path) -> None:
    names = ("ct.nii.gz", "residual.nii.gz", "marked.nii.gz")
    ct, residual, marked = (volume_in(reports["volume"], name, tmp_path) for name in names)
    depth, height, width = study.volume.hu.shape
    for image in (ct, residual, marked):
        assert image.GetSize() == (width, height, depth)
        assert image.GetSpacing() == pytest.approx(tuple(reversed(SPACING)), rel=1e-6)
        # SimpleITK tells positions as DICOM does, whatever NIfTI's axes are.
        assert image.TransformIndexToPhysicalPoint((3, 5, 7)) == pytest.approx(study.volume.position_mm((7, 5, 3)))
    assert np.array_equal(sitk.GetArrayFromImage(ct), np.rint(study.volume.hu))
    assert ct.GetPixelID() == sitk.sitkInt16


def test_marks_are_brought_back_to_the_grid_of_the_series(study: ExplainedStudy, tmp_path: Path) -> None:
    volume = replace(study.volume, hu=np.zeros((4, 6, 9), np.float32))
    marked = np.zeros((8, 3, 3), bool)
    marked[5, 1, 2] = True
    with (tmp_path / "marked.nii.gz").open("wb") as file:
        write_marks(file, volume, marked)
    back = sitk.ReadImage(str(tmp_path / "marked.nii.gz"))
    assert back.GetPixelID() == sitk.sitkUInt8
    # Slice 2 has its centre in slice 5 of the marks.
    assert np.argwhere(sitk.GetArrayFromImage(back)).tolist() == [[2, y, x] for y in (2, 3) for x in (6, 7, 8)]


def test_the_residual_is_brought_back_to_the_grid_of_the_series(study: ExplainedStudy) -> None:
    volume = study.volume
    made = study.examination.residual
    file = io.BytesIO()
    write_residual(file, replace(volume, hu=np.zeros((len(made), *made.shape[1:]), np.float32)), made, 0.35)
    raw = gzip.decompress(file.getvalue())
    assert struct.unpack_from("<ff", raw, 112) == pytest.approx((1 / RESIDUAL_STEPS, 0.0))
    stored = np.frombuffer(raw, "<i2", offset=352).reshape(made.shape)
    assert np.abs(stored / RESIDUAL_STEPS - made).max() <= 0.5001 / RESIDUAL_STEPS
    # A block that rises along z and y only, at both ends of the same extent.
    ramp = np.linspace(-1, 1, 60, dtype=np.float32)[:, None, None] * np.linspace(0, 1, 70, dtype=np.float32)[:, None]
    ramp = np.ascontiguousarray(np.broadcast_to(ramp, (60, 70, 82)))
    file = io.BytesIO()
    write_residual(file, replace(volume, hu=np.zeros((30, 35, 41), np.float32)), ramp, 0.35)
    back = np.frombuffer(gzip.decompress(file.getvalue()), "<i2", offset=352).reshape(30, 35, 41) / RESIDUAL_STEPS
    expected = ramp.reshape(30, 2, 35, 2, 41, 2).mean(axis=(1, 3, 5))
    assert np.abs(back - expected)[1:-1, 1:-1].max() < 0.02


def test_nothing_of_a_header_or_a_clock_is_in_the_volumes(reports: dict[str, bytes]) -> None:
    archive = zipfile.ZipFile(io.BytesIO(reports["volume"]))
    assert archive.namelist() == ["answer.json", "report.html", "ct.nii.gz", "residual.nii.gz", "marked.nii.gz"]
    assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    for name in archive.namelist()[2:]:
        packed = archive.read(name)
        # No name, no time (RFC 1952).
        assert packed[3:8] == bytes(5)
        header = gzip.decompress(packed)[:352]
        assert NAME.encode() not in header
        texts = [header[4:40], header[148:228], header[228:252], header[328:344]]
        assert not any(any(text) for text in texts)


def test_reports_drawn_at_the_same_time_are_the_same_bytes_again(
    study: ExplainedStudy, reports: dict[str, bytes]
) -> None:
    with ThreadPoolExecutor(len(KINDS)) as pool:
        assert dict(zip(KINDS, pool.map(lambda kind: written(kind, study), KINDS), strict=True)) == reports


def test_the_saved_files_are_those_of_the_reports(
    study: ExplainedStudy, reports: dict[str, bytes], tmp_path: Path
) -> None:
    paths = save_reports(study, tmp_path / "new" / "folder")
    files = {path.name: path.read_bytes() for path in paths}
    assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == set(files)
    archive = zipfile.ZipFile(io.BytesIO(reports["volume"]))
    assert (files["report.png"], files["report.html"]) == (reports["png"], reports["html"])
    assert {name: archive.read(name) for name in archive.namelist()} == {
        name: files[name] for name in archive.namelist()
    }
    assert len(files) == 6


def test_the_slice_that_matters_holds_most_of_what_is_marked(study: ExplainedStudy) -> None:
    areas = study.marked.sum(axis=(1, 2))
    share = study.marked.sum() / (study.lungs > 0).sum()
    assert share == pytest.approx(study.document["burden"]["share"])
    if areas.any():
        assert areas[study.key_slice] == areas.max()
    count, step = len(study.examination.slices), SPACING[0]
    for index in range(count):
        height = (index + 0.5) * study.volume.extent_mm[0] / count
        assert abs((study.original_slice(index) - 0.5) * step - height) <= step / 2
