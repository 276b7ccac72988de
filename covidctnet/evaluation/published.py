"""The paper's figures, with the counts and exact intervals that can be rebuilt from them, and what cannot.

A percentage of a known number of cases has few fractions behind it. Where one fraction alone fits, its exact interval
is given; the paper itself gives none.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib import resources
from math import floor

from pydantic.dataclasses import dataclass as checked

from covidctnet.evaluation.bootstrap import Estimate
from covidctnet.promotion.statistics import exact_interval
from covidctnet.yaml_values import check_values, parse_mapping

MODEL, MEAN_READER = "model", "mean reader"
HOLDOUT, READER_TEST = "hold-out", "reader test"
_SHARES = ("covid accuracy", "covid sensitivity", "covid specificity")


@dataclass(frozen=True, kw_only=True)
class PublishedFigure:
    """One percentage of the paper.

    Attributes:
        setting: `HOLDOUT` or `READER_TEST`.
        rater: `MODEL` or `MEAN_READER`.
        metric: as in `covidctnet.readers.scores`, or "covid auc".
        percent: as printed.
        cases: of the setting.
        readers: how many it is the mean of; 0 for the model.
        where: in the paper.
        fraction: hits and total, where one fraction alone fits; None else.
        gap: why there is no fraction; empty where there is one.
    """

    setting: str
    rater: str
    metric: str
    percent: str
    cases: int
    readers: int
    where: str
    fraction: tuple[int, int] | None
    gap: str

    def estimate(self, confidence: float) -> Estimate:
        """The value, with the exact interval of its fraction where that is known."""
        value = float(self.percent) / 100.0
        if self.fraction is None:
            return Estimate(value=value)
        bounds = exact_interval(*self.fraction, confidence)
        return Estimate(value=value, low=bounds.low, high=bounds.high, method="exact")


def fits(percent: str, hits: int, total: int) -> bool:
    """Whether a printed percentage is that of a fraction, rounded or cut off at its last digit."""
    scale = 10 ** len(percent.partition(".")[2])
    exact, printed = Fraction(100 * scale * hits, total), Fraction(percent) * scale
    return printed in (floor(exact), floor(exact + Fraction(1, 2)))


def compositions(cases: int, answers: int, accuracy: str, sensitivity: str, specificity: str) -> list[tuple[int, int]]:
    """Every number of positive and negative cases with which three printed percentages can all be true.

    Args:
        cases: of the test set.
        answers: for each case: 1 of a model, or as many as there are readers, whose mean was printed.
        accuracy: in percent, as printed.
        sensitivity: likewise.
        specificity: likewise.
    """
    found = []
    for positive in range(1, cases):
        negative = cases - positive
        right = [
            [hits for hits in range(total * answers + 1) if fits(percent, hits, total * answers)]
            for percent, total in ((sensitivity, positive), (specificity, negative))
        ]
        if any(fits(accuracy, found_p + found_n, cases * answers) for found_p in right[0] for found_n in right[1]):
            found.append((positive, negative))
    return found


@checked(frozen=True)
class _Setting:
    cases: int
    readers: int
    where: str


@checked(frozen=True)
class _Row:
    setting: str
    rater: str
    metric: str
    percent: str


@checked(frozen=True)
class _Paper:
    source: str
    settings: dict[str, _Setting]
    figures: list[_Row]

    def compositions(self, setting: str, rater: str, *, exchanged: bool = False) -> set[tuple[int, int]] | None:
        """What `compositions` finds for a rater; None where the paper gives them no such figures."""
        printed = {row.metric: row.percent for row in self.figures if (row.setting, row.rater) == (setting, rater)}
        if not set(_SHARES) <= set(printed):
            return None
        accuracy, sensitivity, specificity = (printed[name] for name in _SHARES)
        if exchanged:
            sensitivity, specificity = specificity, sensitivity
        about = self.settings[setting]
        answers = about.readers if rater == MEAN_READER else 1
        return set(compositions(about.cases, answers, accuracy, sensitivity, specificity))


@cache
def _paper() -> _Paper:
    text = resources.files("covidctnet.evaluation").joinpath("published.yaml").read_text("utf-8")
    return check_values(_Paper, parse_mapping(text, "the paper's figures"), "the paper's figures")


def published_source() -> str:
    """What to cite."""
    return _paper().source


@cache
def published_figures() -> tuple[PublishedFigure, ...]:
    """The paper's figures, in the order of its text."""
    paper, found = _paper(), []
    for row in paper.figures:
        about = paper.settings[row.setting]
        fraction, gap = _rebuild(paper, row)
        found.append(
            PublishedFigure(
                setting=row.setting,
                rater=row.rater,
                metric=row.metric,
                percent=row.percent,
                cases=about.cases,
                readers=about.readers if row.rater == MEAN_READER else 0,
                where=about.where,
                fraction=fraction,
                gap=gap,
            )
        )
    return tuple(found)


def _rebuild(paper: _Paper, row: _Row) -> tuple[tuple[int, int] | None, str]:
    if row.rater == MEAN_READER:
        return None, "mean of readers whose own answers are not published"
    if row.metric.endswith("auc"):
        return None, "the scores of the cases are not published"
    if row.metric.endswith("accuracy"):
        totals = {paper.settings[row.setting].cases}
    else:
        allowed = [found for rater in (MODEL, MEAN_READER) if (found := paper.compositions(row.setting, rater))]
        totals = {pair[row.metric == "covid specificity"] for pair in set.intersection(*allowed)}
    fractions = [(hits, total) for total in totals for hits in range(total + 1) if fits(row.percent, hits, total)]
    if len(fractions) == 1:
        return fractions[0], ""
    return None, "several fractions fit" if fractions else "no number of Covid-19 cases fits all figures of this test"


def gaps() -> list[str]:
    """What cannot be rebuilt from the paper, in sentences."""
    paper = _paper()
    model, readers = (paper.compositions(READER_TEST, rater) or set() for rater in (MODEL, MEAN_READER))
    exchanged = paper.compositions(READER_TEST, MEAN_READER, exchanged=True) or set()
    sentences = [
        "The paper gives no intervals, no answers by case and no number of cases of each class. The intervals here are "
        "exact ones of the fractions that its percentages and numbers of cases allow.",
        "Areas under curves have no interval: that takes the scores of the cases, which are not published.",
        "The mean of the readers has none: that takes each reader's answers, for readers err on the same cases.",
    ]
    if not model & readers:
        sentences.append(
            f"No composition of the {paper.settings[READER_TEST].cases} reader cases fits all figures of the reader "
            f"test: the model's fit {_words(model)}, the readers' fit {_words(readers)}. So its sensitivities and "
            "specificities have no fraction, and McNemar's test, kappa and each reader's own figures cannot be rebuilt."
        )
    if not model & readers and model & exchanged:
        sentences.append(
            f"All of them would fit {_words(model & exchanged)}, had the readers' sensitivity and specificity changed "
            "places in print. The text cannot settle that, and nothing here builds on it."
        )
    return sentences


def _words(found: set[tuple[int, int]]) -> str:
    parts = [f"{positive} with Covid-19 and {negative} without" for positive, negative in sorted(found)]
    return ", or ".join(parts) or "none"
