"""Result of leaving out one scanner brand, or one site, at a time: the paper's claim of heterogeneity, tested."""

from collections.abc import Sequence

from covidctnet.evaluation.bootstrap import Estimate
from covidctnet.evaluation.outcomes import CaseOutcome
from covidctnet.experiments.answers import FoldAnswers
from covidctnet.experiments.build import ResultFolder, interval_text, rounded
from covidctnet.experiments.curves import forest_figure
from covidctnet.experiments.pooled import PooledAnswers, paired_difference
from covidctnet.experiments.results import ExperimentResult, Statement, Table
from covidctnet.labels import LABELS


def conclude_scanners(target: ResultFolder, answers: Sequence[FoldAnswers]) -> ExperimentResult:
    """Write the result.

    Args:
        target: receives all.
        answers: of one arm and seed: one entry a brand, one a site, and the folds of a cross-validation, in which
            the same patients are answered by networks that have seen their brand and site.
    """
    target.record_answers(answers)
    seen = [entry for entry in answers if entry.fold.startswith("fold ")]
    statements: list[Statement] = []
    tables: list[Table] = []
    for kind in ("brand", "site"):
        unseen = [entry for entry in answers if entry.fold.startswith(f"{kind} ")]
        table, statement, groups = _leave_out(target, kind, unseen, seen)
        tables.append(table)
        statements.append(statement)
        target.draw(
            kind,
            f"One {kind} left out",
            forest_figure(groups, "Accuracy, three classes", (f"{kind} left out of training", "seen in training")),
            f"The same patients answered twice: by a network that has seen no other scan of their {kind}, and in "
            "cross-validation by one that has. Bars are 95 % intervals over patients.",
        )
    statements.append(
        Statement(
            "The denoiser is the same for all: its Controls come from every brand and site, so it has seen healthy "
            "lungs of those that the classifier has not. No label of theirs was used.",
            "warning",
        )
    )
    return target.close(
        "Unseen scanners and sites",
        "Does the method answer for scanner brands and sites that its classifier has never seen?",
        statements,
        tables,
    )


def _leave_out(
    target: ResultFolder, kind: str, unseen: Sequence[FoldAnswers], seen: Sequence[FoldAnswers]
) -> tuple[Table, Statement, list[tuple[str, Estimate, Estimate]]]:
    config, seed = target.about.config.evaluation, target.about.config.seed
    rows: list[tuple[str | float | int | None, ...]] = []
    groups: list[tuple[str, Estimate, Estimate]] = []
    for entry in unseen:
        first, second = _pair([entry], seen)
        labels = first.labels.tolist()
        found, known = first.estimate(config, seed), second.estimate(config, seed)
        name = entry.fold.removeprefix(f"{kind} ")
        groups.append((f"{name}, n = {len(labels)}", found["accuracy"], known["accuracy"]))
        rows.append(
            _row(name, labels, entry.trained, found, known, paired_difference(first, second, "accuracy", config, seed))
        )
    first, second = _pair(unseen, seen)
    together = paired_difference(first, second, "accuracy", config, seed)
    found, known = first.estimate(config, seed), second.estimate(config, seed)
    groups.append((f"all, n = {len(first.labels)}", found["accuracy"], known["accuracy"]))
    rows.append(_row("all", first.labels.tolist(), None, found, known, together))
    table = Table(
        f"{kind}s",
        f"One {kind} left out at a time",
        (
            kind.capitalize(), "Cases", *LABELS, "Trained on", "Accuracy, left out", "low", "high",
            "Accuracy, seen", "Difference", "low ", "high ", "AUC macro, left out", "AUC macro, seen",
        ),
        tuple(rows),
        "Intervals over patients, 95 %; the difference is paired. An empty AUC lacks a class among the group's cases.",
    )  # fmt: skip
    return table, _say(kind, known["accuracy"], found["accuracy"], together), groups


def _pair(unseen: Sequence[FoldAnswers], seen: Sequence[FoldAnswers]) -> tuple[PooledAnswers, PooledAnswers]:
    cases = {outcome.case for entry in unseen for outcome in entry.test}

    def asked(outcome: CaseOutcome) -> bool:
        return outcome.case in cases

    return PooledAnswers(unseen), PooledAnswers(seen, asked)


def _row(
    name: str,
    labels: Sequence[int],
    trained: int | None,
    found: dict[str, Estimate],
    known: dict[str, Estimate],
    difference: Estimate,
) -> tuple[str | float | int | None, ...]:
    accuracy = found["accuracy"]
    return (
        name,
        len(labels),
        *(list(labels).count(index) for index in range(len(LABELS))),
        trained,
        rounded(accuracy.value),
        rounded(accuracy.low),
        rounded(accuracy.high),
        rounded(known["accuracy"].value),
        rounded(difference.value),
        rounded(difference.low),
        rounded(difference.high),
        rounded(found["macro_auc"].value),
        rounded(known["macro_auc"].value),
    )


def _say(kind: str, known: Estimate, found: Estimate, difference: Estimate) -> Statement:
    if difference.value is None or found.value is None or known.value is None:
        return Statement(f"Nothing can be said of unseen {kind}s: no accuracy was computed.", "warning")
    shown = difference.low is not None and difference.high is not None and (difference.low > 0 or difference.high < 0)
    verdict = (
        f"Patients of an unseen {kind} are answered {'worse' if difference.value < 0 else 'better'}."
        if shown
        else f"No loss on unseen {kind}s is shown, and none is ruled out beyond that interval."
    )
    return Statement(
        f"Accuracy on a {kind} that was left out {found.value:.3f}, on the same patients when their {kind} was seen "
        f"{known.value:.3f}: difference {difference.value:+.3f} "
        f"(95 % {interval_text(difference.low, difference.high)}). {verdict}",
        "neutral" if shown else "warning",
    )
