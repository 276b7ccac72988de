"""The images of the reading page: slices, windows, planes and the overlay are those of the series."""

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from covidctnet.reading import read_volume
from tests.helpers.browser import Reader, assert_same_findings, needs_browser, slice_number
from tests.helpers.serving import ZIP, Process, post
from tests.serving.conftest import Known

pytestmark = needs_browser

LUNG = (-600.0, 1500.0)


def correlation(left: NDArray[Any], right: NDArray[Any]) -> float:
    return float(np.corrcoef(left.ravel().astype(float), right.ravel().astype(float))[0, 1])


def drawn_slice(reader: Reader, rows: int, columns: int) -> NDArray[np.float64]:
    """The drawn image without the black around it, one grey value a voxel."""
    grey = reader.canvas().astype(float).mean(axis=2)
    side = min(grey.shape[0], grey.shape[1] * rows // columns)
    top, left = (grey.shape[0] - side) // 2, (grey.shape[1] - side * columns // rows) // 2
    y = top + ((np.arange(rows) + 0.5) * side / rows).astype(int)
    x = left + ((np.arange(columns) + 0.5) * side / rows).astype(int)
    return grey[np.ix_(y, x)]


def expected_grey(hu: NDArray[Any], centre: float, width: float) -> NDArray[np.float64]:
    return np.clip((hu - centre + width / 2) / width, 0.0, 1.0) * 255.0


def test_the_keyboard_moves_through_slices_that_are_the_series_own(reader: Reader, studies: list[Known]) -> None:
    study = studies[1]
    volume = read_volume(study.data)
    depth, rows, columns = volume.hu.shape
    reader.drop(study=study.data)
    reader.wait_for_answer()
    reader.page.locator("#overlay").uncheck()
    reader.page.locator("#screen").focus()
    for key, expected in (("Home", 1), ("ArrowUp", 2), ("PageUp", 12), ("ArrowDown", 11), ("End", depth)):
        reader.page.keyboard.press(key)
        assert slice_number(reader) == (expected, depth)
        drawn = drawn_slice(reader, rows, columns)
        own = expected_grey(volume.hu[expected - 1], *LUNG)
        assert correlation(drawn, own) > 0.97
        if 5 < expected < depth - 5:
            # The phantom's lungs differ from their mirror image there.
            assert correlation(drawn[:, ::-1], own) < correlation(drawn, own)
    spoken = reader.page.locator("#announcer")
    assert spoken.get_attribute("aria-live") == "polite"
    reader.page.wait_for_function(
        "words => document.getElementById('announcer').textContent.startsWith(words)", arg=f"Slice {depth} of {depth}"
    )


def test_windows_change_the_grey_of_a_known_voxel(reader: Reader, studies: list[Known]) -> None:
    volume = read_volume(studies[1].data)
    rows, columns = volume.hu.shape[1:]
    reader.drop(study=studies[1].data)
    reader.wait_for_answer()
    reader.page.locator("#overlay").uncheck()
    reader.page.locator("#screen").focus()
    for key, centre, width in (("2", 40.0, 400.0), ("3", 400.0, 1800.0), ("1", *LUNG)):
        reader.page.keyboard.press(key)
        number, _ = slice_number(reader)
        drawn, own = drawn_slice(reader, rows, columns), expected_grey(volume.hu[number - 1], centre, width)
        assert np.median(np.abs(drawn - own)) < 4.0
        said = reader.page.locator("#corner-window").text_content().replace("\u2212", "-")
        assert f"{centre:.0f} / {width:.0f} HU" in said


def test_the_overlay_is_as_strong_as_its_slider_says(reader: Reader, phantom: bytes) -> None:
    reader.drop(study=phantom)
    reader.wait_for_answer()
    reader.page.locator("#jump").click()

    def colour() -> float:
        image = reader.canvas().astype(float)
        return float((image.max(axis=2) - image.min(axis=2)).mean())

    strengths = []
    for opacity in ("100", "50", "0"):
        reader.page.locator("#opacity").fill(opacity)
        strengths.append(colour())
    assert strengths[0] > 1.5 * strengths[1] > 0.0
    assert strengths[2] == 0.0
    reader.page.locator("#screen").focus()
    reader.page.keyboard.press("]")
    assert reader.page.locator("#opacity-text").inner_text() == "5 %"
    assert 0.0 < colour() < strengths[1]
    reader.page.keyboard.press("r")
    assert colour() == 0.0


def with_threshold(packed: bytes, threshold: float) -> bytes:
    """A volume's zip whose answer was measured at another threshold."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(packed)) as archive, zipfile.ZipFile(changed, "w") as copy:
        for name in archive.namelist():
            data = archive.read(name)
            if name == "answer.json":
                answer = json.loads(data)
                answer["burden"]["threshold"] = threshold
                data = json.dumps(answer).encode()
            copy.writestr(name, data)
    return changed.getvalue()


def test_the_overlay_begins_where_the_answers_burden_does(reader: Reader, server: Process, phantom: bytes) -> None:
    answer = post(server, phantom).json()

    def coloured(threshold: float) -> float:
        def send(route: Any) -> None:
            response = route.fetch()
            route.fulfill(response=response, body=with_threshold(response.body(), threshold))

        reader.page.route("**/v1/studies?*", send)
        reader.page.goto(server.http)
        reader.drop(study=phantom)
        reader.wait_for_answer()
        assert reader.page.locator("#legend-low").inner_text() == f"{threshold:.2f}"
        reader.page.locator("#opacity").fill("100")
        image = reader.canvas().astype(float)
        return float((image.max(axis=2) - image.min(axis=2) > 30).mean())

    own, stricter = coloured(answer["burden"]["threshold"]), coloured(0.3)
    assert own > 2 * stricter


def test_the_most_suspicious_slice_lies_in_a_marked_area(reader: Reader, server: Process, phantom: bytes) -> None:
    response = httpx.post(f"{server.http}/v1/studies?report=volume", content=phantom, headers=ZIP, timeout=60)
    packed = zipfile.ZipFile(io.BytesIO(response.content)).read("marked.nii.gz")
    depth, rows, columns = read_volume(phantom).hu.shape
    marked = np.frombuffer(gzip.decompress(packed), np.uint8, offset=352).reshape(depth, rows, columns)
    reader.drop(study=phantom)
    reader.wait_for_answer()
    reader.page.locator("#screen").focus()
    reader.page.keyboard.press("Home")
    reader.page.keyboard.press("m")
    # Lung alone: a box around an area holds much of the chest wall, too.
    assert slice_number(reader) == (int(marked.sum(axis=(1, 2)).argmax()) + 1, depth)
    assert "most is marked here" in reader.page.locator("#slice-text").inner_text()
    for plane in ("Coronal", "Sagittal"):
        reader.page.get_by_label(plane).check(force=True)
        reader.page.wait_for_function("name => document.getElementById('corner-plane').textContent === name", arg=plane)
        assert slice_number(reader)[1] == (rows if plane == "Coronal" else columns)
        assert np.ptp(reader.canvas()) > 100


@pytest.mark.real_data
@pytest.mark.slow
def test_a_real_series_is_answered_and_shown(reader: Reader, server: Process, shared_data: Path) -> None:
    path = shared_data / "series" / "covid-a.zip"
    volume = read_volume(path)
    reader.page.locator("#pick-zip").set_input_files(path)
    reader.wait_for_answer(300)
    answer = post(server, path.read_bytes()).json()
    if answer["label"] == "cannot be judged":
        reader.page.locator("summary", has_text="mean nothing").click()
    assert_same_findings(reader, answer)
    reader.page.locator("#overlay").uncheck()
    reader.page.locator("#screen").focus()
    for key in ("Home", "End", "PageDown"):
        reader.page.keyboard.press(key)
        number, count = slice_number(reader)
        assert count == len(volume.hu)
        drawn = drawn_slice(reader, *volume.hu.shape[1:])
        assert correlation(drawn, expected_grey(volume.hu[number - 1], *LUNG)) > 0.97
