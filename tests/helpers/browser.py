"""A Chromium without a screen, and what a reader does in it."""

import base64
import importlib.util
import io
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(
    CHROMIUM is None or importlib.util.find_spec("playwright") is None,
    reason="there is no chromium, or no playwright: sh infra/local/install-debian.sh, pip install playwright",
)
# Root has no sandbox here; the images are drawn by the processor, on any machine the same way.
_FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-background-networking"]

_DROP = """
files => {
  const transfer = new DataTransfer()
  for (const [name, text] of files) {
    const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0))
    transfer.items.add(new File([bytes], name))
  }
  for (const kind of ['dragenter', 'dragover', 'drop']) {
    const event = new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: transfer })
    document.getElementById('drop').dispatchEvent(event)
  }
}
"""
_KEPT = """
async () => [localStorage.length, sessionStorage.length, document.cookie.length, (await indexedDB.databases()).length,
             self.caches ? (await caches.keys()).length : 0]
"""
_WATCH = """
window.named = []
const append = FormData.prototype.append
FormData.prototype.append = function (field, value, name) {
  window.named.push(name ?? value.name)
  return append.call(this, field, value, name)
}
window.violations = []
document.addEventListener('securitypolicyviolation', event => window.violations.push(
  `${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`))
"""


@dataclass
class Reader:
    """A page in a fresh browser profile, and everything that it did.

    Attributes:
        page: Playwright's.
        requests: address of each request that the page began.
        errors: what the page said of its own failures.
    """

    page: Any
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def hear(self, message: Any) -> None:
        """Keep an error of the page's own; a refusal's status is told there, too, and is none."""
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.errors.append(message.text)

    def drop(self, **files: bytes) -> None:
        """Drop files on the page, named by the keywords."""
        self.page.evaluate(_DROP, [[name, base64.b64encode(data).decode()] for name, data in files.items()])

    def wait_for_answer(self, seconds: float = 90.0) -> None:
        """Wait until the answer and the images are there."""
        self.page.wait_for_selector("#reading:not([hidden])", timeout=1000 * seconds)
        self.page.wait_for_function("document.getElementById('slice-text').textContent !== ''")

    def values(self) -> dict[str, float]:
        """The probabilities as the page holds them, by label."""
        held = "all => all.map(one => [one.dataset.label, one.value])"
        found = self.page.locator("#findings data").evaluate_all(held)
        return {label: float(value) for label, value in found}

    def canvas(self) -> NDArray[np.uint8]:
        """What is drawn, axes (y, x, colour), without the words in its corners."""
        self.page.evaluate("document.querySelectorAll('.corner').forEach(one => { one.style.visibility = 'hidden' })")
        picture = self.page.locator(".plate").screenshot()
        return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))

    def kept(self) -> list[int]:
        """How much lies in each of the browser's stores."""
        return [*self.page.evaluate(_KEPT), len(self.page.context.cookies())]

    def names_sent(self) -> list[str]:
        """The name under which each file of a form went."""
        found: list[str] = self.page.evaluate("window.named")
        return found

    def violations(self) -> list[str]:
        """What the Content-Security-Policy stopped."""
        found: list[str] = self.page.evaluate("window.violations")
        return found


@contextmanager
def browser_started() -> Iterator[Any]:
    """Playwright with the machine's own browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        yield browser
        browser.close()


@contextmanager
def reading(browser: Any, address: str, *, bypass_csp: bool = False) -> Iterator[Reader]:
    """The page, opened in a profile of its own; a tool that writes markup into it needs to bypass its policy."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, bypass_csp=bypass_csp)
    page = context.new_page()
    page.set_default_timeout(20_000)
    reader = Reader(page)
    page.on("request", lambda request: reader.requests.append(request.url))
    page.on("pageerror", lambda error: reader.errors.append(str(error)))
    page.on("console", reader.hear)
    page.add_init_script(_WATCH)
    page.goto(address)
    page.wait_for_selector("#server:is(.ready, .away)")
    yield reader
    context.close()


def assert_same_findings(reader: Reader, answer: dict[str, Any]) -> None:
    """The page says what the answer holds."""
    assert reader.values() == pytest.approx(answer["probabilities"], abs=1e-6)
    assert reader.page.locator(".verdict").get_attribute("data-label") == answer["label"]
    said = reader.page.locator("#findings").inner_text().lower()
    for warning in answer["warnings"]:
        assert warning.lower() in said
    for name in ("scanner", "series", "model_version", "pair_id", "profile", "disclaimer"):
        assert answer[name].lower() in said
    assert answer["burden"]["words"].lower() in said
    assert reader.page.locator("button.focus").count() == len(answer["burden"]["foci"])


def slice_number(reader: Reader) -> tuple[int, int]:
    """The slice that is shown, from 1, and how many there are."""
    found = re.match(r"Slice (\d+) of (\d+)", reader.page.locator("#slice-text").inner_text())
    assert found is not None
    return int(found[1]), int(found[2])
