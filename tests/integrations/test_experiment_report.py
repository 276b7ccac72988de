"""The report of all experiments, from results as files: what it shows, what it says is missing, what it fetches."""

import json
import re
import shutil
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure as Drawing

from covidctnet.bundle import load_bundle
from covidctnet.errors import ExperimentError
from covidctnet.experiments.results import ExperimentResult, Figure, Statement, Table, write_result
from covidctnet.readers.files import CLOUDS, SCORES
from covidctnet.report.claim import fill_claim, load_claim
from covidctnet.report.claim_facts import bundle_facts
from covidctnet.report.claim_results import result_facts
from covidctnet.report.data import CaseExample
from covidctnet.report.turning_clouds import turning_clouds
from integrations.experiment_report import WrittenReport, write_report
from tests.helpers.browser import browser_started, needs_browser
from tests.helpers.bundles import untrained_bundle

ESTIMATE = {"value": 0.75, "low": 0.5, "high": 0.9}
METRICS = ("accuracy", "covid accuracy", "covid sensitivity", "covid specificity", "covid auc")


def clouds() -> list[dict[str, Any]]:
    z, y, x = np.mgrid[-1:1:24j, -1:1:48j, -1:1:48j]
    lung = (np.abs(x) - 0.45) ** 2 / 0.09 + y**2 / 0.2 + z**2 < 1
    slices = np.where(x**2 + y**2 < 0.9, 0.74, 0.0) - 0.6 * lung
    infected = lung & (x > 0.3) & (z < 0)
    denoised = slices.astype(np.float32)
    return turning_clouds(
        [
            CaseExample(
                case="case-</script>1",
                label=label,
                probabilities=(0.1, 0.8, 0.1),
                slices=(slices + 0.3 * infected * (label > 0)).astype(np.float32),
                denoised=denoised,
                lung=lung,
                extent_mm=(240.0, 300.0, 300.0),
            )
            for label in range(2)
        ]
    )


def readers_result(folder: Path) -> None:
    folder.mkdir(parents=True)
    drawing = Drawing(figsize=(2, 2))
    drawing.add_subplot().plot([0, 1], [0, 1])
    drawing.savefig(folder / "roc.png")
    (folder / CLOUDS).write_text(json.dumps(clouds()))
    about = {"cases": 20, "covid": 7, "phantoms": 20, "simulated": True, "hard": 3, "unnamed": 1}
    raters = {rater: dict.fromkeys(METRICS, ESTIMATE) for rater in ("model", "mean reader")}
    (folder / SCORES).write_text(json.dumps({"about": about, "raters": raters}))
    write_result(
        folder,
        ExperimentResult(
            experiment="readers",
            title="Model against readers",
            question="Who is right?",
            profile="smoke",
            seeds=(0,),
            data_version="d4ta",
            code_version="c0de",
            cases={"Control": 7, "Covid-19": 7, "CAP": 6},
            simulated=True,
            statements=(
                Statement(text="Neither is better & both err.", tone="neutral"),
                Statement(text="The readers are simulated.", tone="warning"),
            ),
            tables=(
                Table(
                    name="kappa", title="Kappa", columns=("readers", "kappa"), rows=(("all|four", 0.4321), ("x", None))
                ),
            ),
            figures=(Figure(name="roc", title="ROC", file="roc.png", caption="The curve."),),
            seconds=90.0,
            records={"clouds": CLOUDS, "scores": SCORES},
        ),
    )


@pytest.fixture(scope="module")
def experiments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "experiments"
    readers_result(folder / "readers")
    untrained_bundle(folder.parent / "bundle")
    return folder


@pytest.fixture(scope="module")
def written(experiments: Path) -> WrittenReport:
    return write_report(experiments, experiments.parent / "bundle")


@pytest.fixture(scope="module")
def html(written: WrittenReport) -> str:
    return written.html.read_text("utf-8")


def test_both_forms_name_what_was_not_run_and_what_is_made_up(written: WrittenReport, html: str) -> None:
    assert written.present == ("readers",)
    for text in (html, written.markdown.read_text("utf-8")):
        assert "Not run: ablation, patches, scanners, localisation, crossval, clinical" in text
        assert "Phantoms or simulated readers are in: Model against readers" in text
        assert "Research use only. Not a medical device. Nothing here is a claim of clinical accuracy." in text
        assert "Mongan J, Moy L, Kahn CE" in text


def test_tables_keep_their_form_whatever_is_in_them(written: WrittenReport, html: str) -> None:
    markdown = written.markdown.read_text("utf-8")
    assert "| all\\|four | 0.432 |" in markdown
    assert "| x | not computable |" in markdown
    assert "Neither is better &amp; both err." in html
    rows = [line for line in markdown.splitlines() if line.startswith("| ")]
    assert all(line.endswith(" |") for line in rows)


def test_the_paper_stands_beside_the_run_with_numbers_and_intervals(written: WrittenReport) -> None:
    markdown = written.markdown.read_text("utf-8")
    row = next(line for line in markdown.splitlines() if line.startswith("| hold-out, model: Covid-19 sensitivity"))
    assert row.split(" | ")[1:6] == ["0.9091 (10 of 11)", "11 of 15", "0.587 to 0.998", "1.000", "2 of 6"]
    assert "| reader test, mean reader: accuracy, three classes | 0.71 | 20, 4 readers |" in markdown
    assert "| 0.750 | 7 of 20 | 0.500 to 0.900 |" in markdown
    assert "a likeness between them means nothing" in markdown


def test_the_page_fetches_nothing_and_no_text_can_end_a_script(html: str) -> None:
    assert not re.search(r"(src|href)=\"(?!data:|#)", html)
    policy = unescape(re.search(r'Content-Security-Policy" content="([^"]+)"', html)[1])  # type: ignore[index]
    assert policy.startswith("default-src 'none';")
    assert re.search(r"; script-src 'sha256-[A-Za-z0-9+/=]{44}'$", policy)
    assert html.count("</script>") == 3


@pytest.mark.parametrize(
    ("baselines", "words"),
    [
        ({"confounded": True, "metadata": {"macro_auc": {"value": 0.97}}}, "Confounded: scanner and acquisition alone"),
        ({"confounded": None}, "Whether the scanner alone tells the class was not measured"),
        ({"confounded": False}, ""),
    ],
)
def test_a_confounded_bundle_is_the_first_thing_to_read(
    experiments: Path, tmp_path: Path, baselines: dict[str, Any], words: str
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(experiments.parent / "bundle", bundle)
    metrics = bundle / "metrics.json"
    metrics.write_text(json.dumps({**json.loads(metrics.read_text()), "baselines": baselines}))
    shutil.copytree(experiments / "readers", tmp_path / "all" / "readers")
    text = write_report(tmp_path / "all", bundle).markdown.read_text("utf-8")
    before = text[: text.index("**Experiments**")]
    assert words in before
    assert ("scanner" in before) == bool(words)


def test_a_folder_without_any_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="holds no result"):
        write_report(tmp_path, tmp_path)


def test_a_result_that_cannot_be_read_is_not_left_out(experiments: Path) -> None:
    broken = experiments / "ablation" / "result.json"
    broken.parent.mkdir()
    broken.write_text("{")
    try:
        with pytest.raises(ExperimentError, match="cannot be read"):
            write_report(experiments, experiments.parent / "bundle")
    finally:
        broken.unlink()
        broken.parent.rmdir()


def test_claim_has_its_items_and_each_is_filled_or_marked(experiments: Path) -> None:
    bundle = load_bundle(experiments.parent / "bundle")
    filled = fill_claim({**bundle_facts(bundle), **result_facts({}, experiments, bundle)})
    assert [one.item.number for one in filled] == list(range(1, 43))
    assert all(one.status for one in filled)
    by_number = {one.item.number: one for one in filled}
    assert by_number[36].status == ("not run",)
    assert by_number[22].status == ("filled by the run",)
    assert by_number[2].status == ("a person must add",)
    assert {one.item.number for one in filled if one.item.person} == {
        item.number for item in load_claim() if item.person
    }


@needs_browser
def test_the_clouds_turn_in_a_browser_and_nothing_is_requested(written: WrittenReport) -> None:
    with browser_started() as browser:
        page = browser.new_page()
        requests: list[str] = []
        errors: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text))
        page.goto(written.html.as_uri())
        canvas = page.locator("canvas.cloud").nth(1)
        before = canvas.screenshot()
        canvas.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(100)
        turned = canvas.screenshot()
        page.keyboard.press("0")
        page.locator("input[data-layer=strong]").nth(1).uncheck()
        page.wait_for_timeout(100)
        bare = canvas.screenshot()
        axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
        # The tool writes a script of its own into the page.
        audited = browser.new_context(bypass_csp=True).new_page()
        audited.goto(written.html.as_uri())
        complaints = [found["id"] for found in axe.run(audited).response["violations"]]
    assert not errors
    assert not complaints
    assert [address for address in requests if not address.startswith("data:")] == [written.html.as_uri()]
    assert len({before, turned, bare}) == 3
