"""The whole comparison from answers alone: a refused study and one without a class among them."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from covidctnet.config import load_profile
from covidctnet.errors import CohortError
from covidctnet.evaluation.outcomes import CaseOutcome
from covidctnet.experiments.reader_figures import save_reader_figures
from covidctnet.labels import LABELS
from covidctnet.readers.answers import ModelAnswer
from covidctnet.readers.compare import ReaderComparison, compare_with_readers
from covidctnet.readers.shown import ShownCases
from covidctnet.readers.simulated import simulate_readers
from covidctnet.readers.tables import plain_scores, reader_tables
from covidctnet.report.data import CaseExample

CONFIG = load_profile("smoke")


def answer(number: int, probabilities: tuple[float, float, float], *, judged: bool = True) -> ModelAnswer:
    label, case = number % 3, f"case-{number:02}"
    outcome = CaseOutcome(
        case=case, patient=case, label=label, brand="GE", scanner="GE X", probabilities=probabilities, judged=judged
    )
    return ModelAnswer(
        case=case, label=label, outcome=outcome, covid_positive=probabilities[1] >= 0.4 if judged else None
    )


def make_answers() -> list[ModelAnswer]:
    rng = np.random.default_rng(4)
    answers = []
    for number in range(18):
        logits = rng.normal(size=3)
        logits[number % 3] += 2.0
        values = np.exp(logits) / np.exp(logits).sum()
        answers.append(answer(number, tuple(values.tolist())))  # type: ignore[arg-type]
    answers.append(answer(18, (0.9, 0.05, 0.05), judged=False))
    answers.append(ModelAnswer(case="case-19", label=1, outcome=None, covid_positive=None, refused="gantry tilt"))
    return answers


@pytest.fixture(scope="module")
def found() -> ReaderComparison:
    answers = make_answers()
    table = simulate_readers([(one.case, LABELS[one.label]) for one in answers], seed=1)
    return compare_with_readers(answers, table, threshold=0.4, config=CONFIG.evaluation, seed=0)


def test_silence_counts_as_an_error_and_has_no_place_in_the_curve(found: ReaderComparison) -> None:
    assert found.unnamed == 2
    assert found.metrics is not None
    assert found.metrics.cases == 19
    right = sum(one.outcome is not None and one.outcome.predicted == one.label for one in found.answers[:18])
    assert found.scores["model"]["accuracy"].value == pytest.approx(right / 20)
    assert "model" in found.wrong_raters(18)
    assert "model" in found.wrong_raters(19)


def test_tables_show_every_answer_and_why_there_is_none(found: ReaderComparison) -> None:
    tables = {table.name: table for table in reader_tables(found)}
    refused, unjudged = (
        next(row for row in tables["answers"].rows if row[0] == case) for case in ("case-19", "case-18")
    )
    assert refused[1:4] == ("Covid-19", "none", "gantry tilt")
    assert unjudged[2:4] == ("none", "0.90, 0.05, 0.05")
    assert tables["areas"].note.startswith("Over the 19 of 20 cases")
    assert {len(row) for row in tables["classes"].rows} == {6}
    scores = plain_scores(found)
    assert scores["mean reader"]["accuracy"]["value"] == pytest.approx(
        np.mean([scores[f"simulated-{n}"]["accuracy"]["value"] for n in range(1, 5)])
    )


def test_a_class_without_a_case_is_refused(found: ReaderComparison) -> None:
    answers = [one for one in make_answers() if one.label != 2]
    table = simulate_readers([(one.case, LABELS[one.label]) for one in answers], seed=1)
    with pytest.raises(CohortError, match="no case of CAP"):
        compare_with_readers(answers, table, threshold=0.4, config=CONFIG.evaluation, seed=0)


def test_figures_are_drawn_and_say_that_the_readers_are_simulated(found: ReaderComparison, tmp_path: Path) -> None:
    slices = np.full((4, 32, 32), 0.2, np.float32)
    slices[:, 8:24, 8:24] = 0.05
    wrong = CaseExample(
        case="case-01", label=1, probabilities=(0.8, 0.1, 0.1), slices=slices, denoised=slices * 0.9, where=""
    )
    shown = ShownCases(typical=(), wrong=(wrong,), notes={"case-01": "simulated readers: 4 CAP"}, wrong_count=3)
    figures = {figure.name: figure for figure in save_reader_figures(found, shown, CONFIG, tmp_path)}
    assert set(figures) == {"scores", "confusion", "kappa", "roc", "reliability", "wrong"}
    assert "1 of 3 cases" in figures["wrong"].caption
    for name in ("scores", "confusion", "kappa", "roc"):
        assert "simulated readers" in figures[name].caption
    for figure in figures.values():
        assert imread(tmp_path / figure.file)[..., :3].std() > 0.03
