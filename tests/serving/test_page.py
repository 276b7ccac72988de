"""The reading page in a browser, as a reader uses it."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.helpers.browser import Reader, assert_same_findings, needs_browser, reading
from tests.helpers.series import zip_of
from tests.helpers.serving import Process, post
from tests.serving.conftest import TOKEN, Known

pytestmark = needs_browser


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
        assert says.lower() in refused.inner_text().lower()
        assert code in refused.inner_text()
        assert reader.page.evaluate("document.activeElement.id") == "refused-title"
        reader.page.locator("#other").click()
        assert reader.page.locator("#start").is_visible()


def test_a_study_that_is_dropped_takes_the_place_of_the_one_before(reader: Reader, phantom: bytes) -> None:
    reader.drop(study=phantom)
    reader.wait_for_answer()
    assert np.ptp(reader.canvas()) > 100
    # Words that slip from the page onto itself are no study.
    reader.page.evaluate(
        """() => {
          const transfer = new DataTransfer()
          transfer.setData('text/plain', 'words')
          const drop = { bubbles: true, cancelable: true, dataTransfer: transfer }
          document.body.dispatchEvent(new DragEvent('drop', drop))
        }"""
    )
    assert reader.page.locator("#reading").is_visible()
    reader.drop(nothing=b"")
    reader.page.locator("#refused").wait_for()
    assert "There are no files in it." in reader.page.locator("#refused").inner_text()
    # It would be the study before that is sent again.
    assert reader.page.locator("#again").is_hidden()


def test_an_answer_that_is_no_longer_waited_for_is_not_shown(reader: Reader, phantom: bytes) -> None:
    reader.page.route("**/v1/studies?*", lambda route: None)
    reader.drop(study=phantom)
    reader.page.locator("#working").wait_for()
    with reader.page.expect_event("requestfailed") as ended:
        reader.drop(nothing=b"")
    assert "/v1/studies" in ended.value.url
    reader.page.locator("#refused").wait_for()
    assert reader.page.locator("#refused").is_visible()


def test_the_report_is_downloaded(reader: Reader, studies: list[Known]) -> None:
    reader.drop(study=studies[0].data)
    reader.wait_for_answer()
    with reader.page.expect_download() as report:
        reader.page.locator("#save-report").click()
    assert len([address for address in reader.requests if "/v1/studies" in address]) == 1
    text = report.value.path().read_text("utf-8")
    assert report.value.suggested_filename.endswith(".html")
    assert "Research use only" in text
    with reader.page.expect_download() as answer:
        reader.page.locator("#save-answer").click()
    saved = json.loads(answer.value.path().read_text("utf-8"))
    assert saved["request_id"] in text
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


def test_nothing_is_covered_or_cut_off_in_a_narrow_window(reader: Reader, phantom: bytes) -> None:
    reader.page.set_viewport_size({"width": 400, "height": 800})
    reader.drop(study=phantom)
    reader.wait_for_answer()
    assert reader.page.evaluate("document.documentElement.scrollWidth") == 400
    top = reader.page.evaluate("document.querySelector('.bar').getBoundingClientRect().bottom")
    for chosen in ("#windows input", "#planes input", "#overlay", "#jump", "#screen", "#save-report"):
        one = reader.page.locator(chosen).first
        reader.page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
        reader.page.evaluate("window.scrollTo(0, 0)")
        one.focus()
        one.evaluate("node => node.scrollIntoView()")
        assert one.bounding_box()["y"] >= top, chosen


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
