"""The comparison with readers as tables of text."""

from covidctnet.evaluation.bootstrap import Estimate
from covidctnet.evaluation.tables import format_interval, format_p, format_value
from covidctnet.experiments.results import Table
from covidctnet.labels import LABELS
from covidctnet.readers.answers import MODEL
from covidctnet.readers.compare import ReaderComparison
from covidctnet.readers.scores import AVERAGES, ENDPOINTS, NO_CLASS, THREE_CLASSES, TWO_CLASSES

WORDS = {
    "accuracy": "accuracy, three classes",
    "covid accuracy": "accuracy, two classes",
    "covid sensitivity": "Covid-19 sensitivity, two classes",
    "covid specificity": "Covid-19 specificity, two classes",
}
MEAN = "mean reader"


def reader_tables(found: ReaderComparison) -> list[Table]:
    """All tables of a reader study."""
    tables = [_main(found), _by_class(found), _tests(found), _differences(found)]
    if found.agreement is not None:
        tables.append(_agreement(found))
    if found.metrics is not None:
        tables.append(_curves(found))
    return [*tables, _answers(found)]


def _main(found: ReaderComparison) -> Table:
    """The paper's Table 3: every rater by the endpoints."""
    rows = [(name, *(_text(estimates[e]) for e in ENDPOINTS)) for name, estimates in _raters(found)]
    return Table(
        name="scores",
        title="Model and readers" + _mark(found),
        columns=("rater", *(WORDS[endpoint] for endpoint in ENDPOINTS)),
        rows=tuple(rows),
        note=f"{found.confidence:.0%} intervals: exact (Clopper-Pearson) of model and readers; of the mean reader by "
        "resampling patients, about these readers alone. Two classes: Covid-19 or not; the model by its threshold, a "
        "reader by the class that they named.",
    )


def _by_class(found: ReaderComparison) -> Table:
    names = (*THREE_CLASSES[1:], *AVERAGES)
    raters = [(name, scores) for name, scores in _raters(found) if name != MEAN]
    rows = [(metric, *(_text(scores[metric]) for _, scores in raters)) for metric in names]
    return Table(
        name="classes",
        title="Three classes: each or rest, macro and micro averages" + _mark(found),
        columns=("measure", *(name for name, _ in raters)),
        rows=tuple(rows),
        note="Macro: mean of the three classes. Micro: all one-or-rest decisions pooled; its sensitivity is the "
        "accuracy. Intervals of the averages by resampling patients.",
    )


def _tests(found: ReaderComparison) -> Table:
    rows = [
        (test.reader, WORDS[test.endpoint], str(test.test.gained), str(test.test.lost), format_p(test.test.p_value),
         format_p(test.adjusted))
        for test in found.tests
    ]  # fmt: skip
    return Table(
        name="mcnemar",
        title="Model against each reader: McNemar's exact test" + _mark(found),
        columns=("reader", "by", "only the model right", "only the reader right", "p", "p, Holm"),
        rows=tuple(rows),
        note=f"Two-sided; Holm's correction for {len(found.readers)} readers within each row of tests. A large p does "
        "not show that two are alike: with so few cases hardly any difference is significant.",
    )


def _differences(found: ReaderComparison) -> Table:
    rows = [(WORDS[d.endpoint], _text(d.these_readers), _interval(d.other_readers)) for d in found.differences]
    return Table(
        name="differences",
        title="Model minus mean reader" + _mark(found),
        columns=("by", "difference, these readers", "interval for readers like these"),
        rows=tuple(rows),
        note="Paired, by resampling patients; the last column resamples readers too, and with few readers is still too "
        "narrow.",
    )


def _agreement(found: ReaderComparison) -> Table:
    agreement = found.agreement
    assert agreement is not None
    rows = [("all (Fleiss)", _text(agreement.overall))]
    rows += [(f"{pair.first}, {pair.second} (Cohen)", _text(pair.kappa)) for pair in agreement.pairs]
    return Table(
        name="kappa",
        title="Agreement of the readers: kappa" + _mark(found),
        columns=("readers", "kappa"),
        rows=tuple(rows),
        note=f"All readers named the same class for {agreement.unanimous:.0%} of the cases. Intervals by resampling "
        "patients.",
    )


def _curves(found: ReaderComparison) -> Table:
    metrics = found.metrics
    assert metrics is not None
    three = metrics.three_class
    rows = [("Covid-19 or not", _text(metrics.covid.auc))]
    rows += [(f"{name} or rest", _text(values.auc)) for name, values in three.per_class.items() if name != LABELS[1]]
    rows += [("macro average", _text(three.macro_auc)), ("micro average", _text(three.micro_auc))]
    return Table(
        name="areas",
        title="Model: area under the ROC curve",
        columns=("curve", "area"),
        rows=tuple(rows),
        note=f"Over the {metrics.cases} of {len(found.answers)} cases that got probabilities. Readers name a class and "
        "no probability, so they have points and no curve.",
    )


def _answers(found: ReaderComparison) -> Table:
    rows = []
    for place, answer in enumerate(found.answers):
        chances = answer.outcome.probabilities if answer.outcome is not None else ()
        rows.append(
            (
                answer.case,
                LABELS[answer.label],
                _class(answer.answered),
                ", ".join(f"{value:.2f}" for value in chances) or answer.refused,
                *(_class(int(reader.classes[place])) for reader in found.readers),
            )
        )
    return Table(
        name="answers",
        title="Every answer" + _mark(found),
        columns=("case", "truth", MODEL, f"probabilities ({', '.join(LABELS)})", *(r.name for r in found.readers)),
        rows=tuple(rows),
        note="In place of probabilities, why a study was refused.",
    )


def _class(code: int) -> str:
    return "none" if code == NO_CLASS else LABELS[code]


def _raters(found: ReaderComparison) -> list[tuple[str, dict[str, Estimate]]]:
    (model, own), *readers = found.scores.items()
    return [(model, own), (MEAN, found.mean), *readers]


def _mark(found: ReaderComparison) -> str:
    return " (readers simulated)" if found.simulated else ""


def _text(estimate: Estimate) -> str:
    bounds = _interval(estimate)
    return f"{format_value(estimate.value)} ({bounds})" if bounds else format_value(estimate.value)


def _interval(estimate: Estimate) -> str:
    if estimate.value is not None and estimate.low is None:
        return "no interval"
    return format_interval(estimate).removesuffix(" (exact)")


def plain_scores(found: ReaderComparison) -> dict[str, dict[str, dict[str, float | None]]]:
    """Value and bounds by rater and metric, for machines."""
    names = (*THREE_CLASSES, *TWO_CLASSES)
    values = {
        rater: {
            name: {"value": e.value, "low": e.low, "high": e.high} for name, e in estimates.items() if name in names
        }
        for rater, estimates in _raters(found)
    }
    if found.metrics is not None:
        auc = found.metrics.covid.auc
        values[MODEL]["covid auc"] = {"value": auc.value, "low": auc.low, "high": auc.high}
    return values
