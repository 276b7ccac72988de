"""The reading page in a browser, as a reader uses it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from covidctnet.predictor import NOT_JUDGED, Predictor
from covidctnet.reading import read_volume
from tests.helpers.browser import CHROMIUM, Reader, browser_started, reading
from tests.helpers.components_run import ComponentsRun
from tests.helpers.series import zip_of
from tests.helpers.serving import Process, post
from tests.serving.conftest import TOKEN, Known

pytest.importorskip("playwright", reason="playwright is not installed: pip install playwright")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: sh infra/local/install-debian.sh")

LUNG = (-600.0, 1500.0)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browser_started() as started:
        yield started


@pytest.fixture
def reader(browser: Any, server: Process) -> Iterator[Reader]:
    with reading(browser, server.http) as opened:
        yield opened
        assert opened.errors == []
        assert opened.violations() == []
        assert [address for address in opened.requests if not address.startswith((server.http, "data:", "blob:"))] == []
        assert opened.kept() == [0, 0, 0, 0, 0, 0]


@pytest.fixture(scope="module")
def phantom(components_run: ComponentsRun, served_bundle: Path) -> bytes:
    """A case that is judged, and has areas that are marked."""
    cohort, predictor = components_run.cohort, Predictor.load(served_bundle)
    for case in cohort.cases:
        answer = predictor.predict(read_volume(cohort.path(case.case)))
        if answer.label != NOT_JUDGED and answer.burden.foci:
            return cohort.path(case.case).read_bytes()
    raise AssertionError("no phantom of the smoke profile is judged and has a marked area")


def assert_same_findings(reader: Reader, answer: dict[str, Any]) -> None:
    assert reader.values() == pytest.approx(answer["probabilities"], abs=1e-6)
    assert reader.page.locator(".verdict").get_attribute("data-label") == answer["label"]
    said = reader.page.locator("#findings").inner_text().lower()
    for warning in answer["warnings"]:
        assert warning.lower() in said
    for field in ("scanner", "series", "model_version", "pair_id", "profile", "disclaimer"):
        assert answer[field].lower() in said
    assert answer["burden"]["words"].lower() in said
    assert reader.page.locator("button.focus").count() == len(answer["burden"]["foci"])


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


def slice_number(reader: Reader) -> tuple[int, int]:
    found = re.match(r"Slice (\d+) of (\d+)", reader.page.locator("#slice-text").inner_text())
    assert found is not None
    return int(found[1]), int(found[2])


def test_a_dropped_study_is_answered_with_the_numbers_of_the_plain_way(
    reader: Reader, server: Process, phantom: bytes
) -> None:
    reader.drop(study=phantom)
    reader.wait_for_answer()
    answer = post(server, phantom).json()
    assert answer["label"] != "cannot be judged"
    assert_same_findings(reader, answer)
    assert reader.page.locator(".chances li").count() == 3
    flagged = "Flagged for Covid-19" if answer["covid_positive"] else "Not flagged for Covid-19"
    assert flagged in reader.page.locator(".verdict").inner_text()
    assert reader.page.evaluate("document.activeElement.id") == "verdict"


def test_a_study_that_cannot_be_judged_names_no_class(reader: Reader, server: Process, studies: list[Known]) -> None:
    unjudged = next(study for study in studies if study.answer["label"] == "cannot be judged")
    reader.drop(study=unjudged.data)
    reader.wait_for_answer()
    assert reader.page.locator("#verdict").inner_text() == "Cannot be judged"
    assert reader.page.locator(".chances").count() == 0
    assert not reader.page.locator("#findings data").first.is_visible()
    reader.page.locator("summary", has_text="mean nothing").click()
    assert_same_findings(reader, post(server, unjudged.data).json())


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


def test_the_most_suspicious_slice_lies_in_a_marked_area(reader: Reader, server: Process, phantom: bytes) -> None:
    boxes = [focus["box_voxels"][0] for focus in post(server, phantom).json()["burden"]["foci"]]
    reader.drop(study=phantom)
    reader.wait_for_answer()
    reader.page.locator("#screen").focus()
    reader.page.keyboard.press("Home")
    reader.page.keyboard.press("m")
    assert any(first <= slice_number(reader)[0] - 1 <= last for first, last in boxes)
    assert "most is marked here" in reader.page.locator("#slice-text").inner_text()
    for plane in ("Coronal", "Sagittal"):
        reader.page.get_by_label(plane).check(force=True)
        reader.page.wait_for_function("name => document.getElementById('corner-plane').textContent === name", arg=plane)
        assert slice_number(reader)[1] == read_volume(phantom).hu.shape[1 if plane == "Coronal" else 2]
        assert np.ptp(reader.canvas()) > 100


def test_a_folder_goes_without_the_names_of_its_files(reader: Reader, studies: list[Known], tmp_path: Path) -> None:
    folder = tmp_path / "DOE^JOHN"
    folder.mkdir()
    for number, data in enumerate(studies[0].files):
        (folder / f"DOE^JOHN-{number}").write_bytes(data)
    reader.page.locator("#pick-folder").set_input_files(folder)
    reader.wait_for_answer()
    assert reader.values() == pytest.approx(studies[0].answer["probabilities"], abs=1e-6)
    assert reader.names_sent() == ["file"] * len(studies[0].files)


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        (b"PK but no zip at all", "unreadable_study", "The study cannot be read."),
        (zip_of([b"text"]), "no_ct_images", "The study can be read, but not judged."),
        (b"text", "no_ct_images", "none of the 1 files is DICOM"),
    ],
)
def test_a_refusal_is_shown_with_the_readers_reason(
    browser: Any, server: Process, data: bytes, code: str, says: str
) -> None:
    with reading(browser, server.http) as reader:
        reader.drop(study=data)
        refused = reader.page.locator("#refused")
        refused.wait_for()
        assert says in refused.inner_text()
        assert code in refused.inner_text()
        assert reader.page.evaluate("document.activeElement.id") == "refused-title"
        reader.page.locator("#other").click()
        assert reader.page.locator("#start").is_visible()


def test_the_report_is_downloaded(reader: Reader, studies: list[Known]) -> None:
    reader.drop(study=studies[0].data)
    reader.wait_for_answer()
    with reader.page.expect_download() as report:
        reader.page.locator("#save-report").click()
    text = report.value.path().read_text("utf-8")
    assert report.value.suggested_filename.endswith(".html")
    assert "Research use only" in text
    with reader.page.expect_download() as answer:
        reader.page.locator("#save-answer").click()
    saved = json.loads(answer.value.path().read_text("utf-8"))
    assert saved["probabilities"] == pytest.approx(studies[0].answer["probabilities"], abs=1e-6)


def test_a_token_is_asked_for_and_kept_nowhere(browser: Any, strict: Process, studies: list[Known]) -> None:
    with reading(browser, strict.http) as reader:
        field = reader.page.get_by_label("Access token")
        field.wait_for()
        field.fill("a-guess")
        field.press("Enter")
        reader.page.get_by_text("This token is not known here.").wait_for()
        field.fill(TOKEN)
        field.press("Enter")
        field.wait_for(state="hidden")
        reader.drop(study=studies[0].data)
        reader.wait_for_answer()
        assert reader.values() == pytest.approx(studies[0].answer["probabilities"], abs=1e-6)
        assert reader.kept() == [0, 0, 0, 0, 0, 0]
        assert TOKEN not in reader.page.content()
        assert not any(TOKEN in address for address in reader.requests)


def test_research_use_is_in_sight_at_every_moment(reader: Reader, phantom: bytes) -> None:
    for width, height in ((1280, 800), (1920, 1080), (420, 800)):
        reader.page.set_viewport_size({"width": width, "height": height})
        for shown in ("start", "reading"):
            if shown == "reading" and reader.page.locator("#reading").is_hidden():
                reader.drop(study=phantom)
                reader.wait_for_answer()
            reader.page.mouse.wheel(0, 3000)
            box = reader.page.locator("#disclaimer").bounding_box()
            assert 0 <= box["y"] < height
            assert box["x"] + box["width"] <= width
    assert reader.page.locator("#disclaimer").inner_text() == "Research use only. Not a medical device."


def test_axe_finds_nothing_in_any_part_of_the_page(
    browser: Any, server: Process, strict: Process, phantom: bytes
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()

    def check(page: Any, part: str) -> None:
        page.locator(f"#{part}").wait_for()
        found = axe.run(page).response["violations"]
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []

    with reading(browser, server.http, bypass_csp=True) as reader:
        check(reader.page, "start")
        reader.drop(study=b"PK no zip")
        check(reader.page, "refused")
        held: list[Any] = []
        reader.page.route("**/v1/studies?*", lambda route: held.append(route))
        reader.drop(study=phantom)
        check(reader.page, "working")
        held[0].continue_()
        reader.wait_for_answer()
        check(reader.page, "reading")
    with reading(browser, strict.http, bypass_csp=True) as locked:
        check(locked.page, "token-form")


def test_tab_goes_through_answer_and_controls_in_the_order_of_reading(reader: Reader, phantom: bytes) -> None:
    reader.drop(study=phantom)
    reader.wait_for_answer()
    reader.page.evaluate("document.getElementById('new-study').focus()")
    passed = []
    while not passed or (passed[-1] != "slice" and len(passed) < 40):
        reader.page.keyboard.press("Tab")
        passed.append(reader.page.evaluate("document.activeElement.id || document.activeElement.name || '-'"))
    answer, images = ["findings", "save-report", "save-answer"], ["windows", "planes", "overlay", "opacity", "jump"]
    wanted = [*answer, *images, "screen", "slice"]
    assert [name for name in passed if name in wanted] == wanted


def test_every_file_comes_under_the_strict_policy_and_without_a_token(strict: Process) -> None:
    page = httpx.get(f"{strict.http}/")
    named = re.findall(r'(?:href|src)="(page/[^"]+)"', page.text)
    assert len(named) >= 4
    for address in ("", *named, "page/vendor/viewer.js", "page/vendor/viewer.licences.txt"):
        response = httpx.get(f"{strict.http}/{address}")
        assert response.status_code == 200, address
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "//" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"
    assert "//" not in re.sub(r"<!doctype html>", "", re.sub(r"http://www.w3.org/\S+", "", page.text))
    for address in ("page/", "page/../settings.py", "page/vendor/viewer.json", "page/none.js", "v1/progress/x"):
        assert httpx.get(f"{strict.http}/{address}").status_code == 401, address


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
