import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from covidctnet.evaluation.residual_contrast import ResidualContrast
from covidctnet.report.data import ReportData
from covidctnet.report.render import render_report
from covidctnet.report.words import confounded, notes, summary

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Checks that tags nest, and collects what a test wants to know."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.tags: set[str] = set()
        self.ids: set[str | None] = set()
        self.links: list[str | None] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.add(tag)
        self.ids.add(values.get("id"))
        self.links += [values[name] for name in ("href", "src", "srcset", "data") if name in values]
        if tag == "img":
            self.images.append(values)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text("utf-8"))
    page.close()
    assert page.open == []
    return page


@pytest.fixture(scope="module")
def rendered(report_data: ReportData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render_report(report_data, tmp_path_factory.mktemp("report"))


def test_page_is_well_formed_and_holds_every_figure(rendered: Path) -> None:
    page = read(rendered)
    files = sorted(path.name for path in (rendered.parent / "figures").iterdir())
    assert len(page.images) == len(files) == 9
    assert sorted(path.name for path in rendered.parent.iterdir()) == ["figures", "report.html"]
    assert all(len(image["alt"] or "") > 30 for image in page.images)


def test_page_loads_nothing_and_runs_nothing(rendered: Path) -> None:
    page = read(rendered)
    assert all((link or "").startswith("data:image/png;base64,") for link in page.links)
    assert not page.tags & {"script", "link", "iframe", "object"}
    text = rendered.read_text("utf-8")
    assert re.search(r"https?://|url\(|@import", text) is None


def test_page_says_what_it_is_and_what_it_rests_on(rendered: Path, report_data: ReportData) -> None:
    text = read(rendered).text
    assert text.count("Research use only. Not a medical device.") >= 2
    for value in (report_data.data_version, report_data.code_version, report_data.pair_id, '"hu_max": 400.0'):
        assert value in text
    assert "Scanner metadata alone" in text
    assert report_data.notes[0] in text


def test_the_page_says_where_infection_was_marked_and_which_case_was_not_judged(rendered: Path) -> None:
    text = read(rendered).text
    assert "Covid-19: 1 % of the lung is marked. CAP: 2 % of the lung is marked." in " ".join(text.split())
    assert "Control:  " not in text
    assert text.count("12.5 %") == 45
    rows = rendered.read_text("utf-8").split("<tr")
    assert sum("<td>no</td>" in row for row in rows) == 1


def test_the_same_data_gives_the_same_bytes(rendered: Path, report_data: ReportData, tmp_path: Path) -> None:
    assert render_report(report_data, tmp_path).read_bytes() == rendered.read_bytes()


def test_figures_of_an_earlier_run_do_not_stay(report_data: ReportData, tmp_path: Path) -> None:
    render_report(report_data, tmp_path)
    bare = replace(report_data, wrong=(), examples=(), contrast=(), histories={})
    page = read(render_report(bare, tmp_path))
    names = sorted(path.stem for path in (tmp_path / "figures").iterdir())
    assert names == ["baselines", "confusion", "reliability", "roc"]
    assert "Where the infections truly are is not known" in page.text


def test_the_red_box_appears_only_where_the_scanner_predicts_the_class(
    rendered: Path, make_data: Callable[..., ReportData], tmp_path: Path
) -> None:
    assert "confounded" not in read(rendered).ids
    page = read(render_report(_quick(make_data(confounded=True)), tmp_path))
    assert "confounded" in page.ids
    assert "Confounded:" in page.text


def test_unknown_confounding_is_said(make_data: Callable[..., ReportData]) -> None:
    data = make_data(patients=3)
    missing = replace(data.baselines.metadata.macro_auc, value=None, low=None, high=None)
    baselines = replace(data.baselines, metadata=replace(data.baselines.metadata, macro_auc=missing))
    data = replace(data, baselines=baselines)
    assert confounded(data) is None
    assert any("could not be measured" in note for note in notes(data))


def test_few_patients_are_pointed_out_and_many_are_not(make_data: Callable[..., ReportData]) -> None:
    assert any("The hold-out has 12 patients" in note for note in notes(make_data(patients=12)))
    assert not any("The hold-out has" in note for note in notes(make_data(patients=30)))


def test_a_network_no_better_than_a_baseline_is_pointed_out(make_data: Callable[..., ReportData]) -> None:
    assert any("no better than a baseline" in note for note in notes(make_data(confounded=True)))
    assert not any("no better than a baseline" in note for note in notes(make_data()))


def test_summary_counts_right(report_data: ReportData) -> None:
    text = " ".join(paragraph.text for paragraph in summary(report_data))
    right = sum(outcome.predicted == outcome.label for outcome in report_data.outcomes)
    assert f"right in {right} of 45 cases" in text
    (negative, alarms), (missed, found) = report_data.metrics.covid.confusion
    assert f"found {found} of {found + missed} Covid-19 cases" in text
    assert f"wrongly flagged {alarms} of {alarms + negative} other cases" in text
    assert "learned from 12 healthy patients" in text
    assert "scans of 36 other patients" in text


def test_a_hold_out_without_a_class_renders_words_instead_of_numbers(
    make_data: Callable[..., ReportData], tmp_path: Path
) -> None:
    page = read(render_report(_quick(make_data(patients=2)), tmp_path))
    assert "The hold-out has no patient of: CAP" in page.text
    assert "not computable" in page.text
    assert "nan" not in page.text.lower().split()
    assert "None" not in page.text


def test_hostile_names_are_escaped(report_data: ReportData, tmp_path: Path) -> None:
    data = _quick(replace(report_data, notes=["<script>alert(1)</script>"], title="A & <b>"))
    page = read(render_report(data, tmp_path))
    assert "script" not in page.tags
    assert "<script>alert(1)</script>" in page.text


def test_contrast_without_controls_renders(report_data: ReportData, tmp_path: Path) -> None:
    part: ResidualContrast = report_data.contrast[0]
    empty = replace(part, control=None, control_to_infection=replace(part.control_to_infection, value=None))
    page = read(render_report(replace(_quick(report_data), contrast=[empty]), tmp_path))
    assert "not computable" in page.text


def _quick(data: ReportData) -> ReportData:
    """The slow figures left out."""
    return replace(data, examples=(), wrong=(), contrast=(), histories={})
