"""The last steps: evaluate the bundle on the hold-out, and register it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from covidctnet.files import link_tree, publish, write_json
from covidctnet.labels import LABELS
from covidctnet.stages.prepared import PreparedCohort
from integrations.model_card import Origins
from integrations.steps.cohorts import open_cohort
from integrations.steps.context import load_seconds, open_step
from integrations.steps.training import load_histories

REGISTRATION = "registration.json"
"""Name and version of the model, in the output of `register`."""


def evaluate(
    *,
    cohort: str,
    splits: str,
    validated: str,
    records: Sequence[str],
    denoiser: str,
    residuals: Sequence[str],
    training: str,
    bundle: str,
    evaluated: str,
    output: str,
    html: str,
    log_metric: Callable[[str, float], None],
    log_confusion: Callable[[list[str], list[list[int]]], None],
    log_roc: Callable[[list[float], list[float], list[float]], None],
    metrics: str,
    classification: str,
    run: Mapping[str, str],
) -> None:
    """Answer for every hold-out case through the bundle, score the answers and write the report.

    Args:
        cohort: output of `fetch_dataset`.
        splits: output of `settle_splits`, for its time.
        validated: output of `validate_scanner_metadata`, for its time.
        records: of all shards.
        denoiser: output of `train_denoiser`, for its losses.
        residuals: of all shards, for their time.
        training: losses of the classifier.
        bundle: without metrics.
        evaluated: becomes the bundle with its hold-out metrics.
        output: receives `summary.json`, `report.html` and `figures/`.
        html: receives the report once more, for the interface of Kubeflow.
        log_metric: takes a name and a value of the hold-out.
        log_confusion: takes labels, and counts with rows by true and columns by answered class.
        log_roc: takes false and true positive rates and thresholds of Covid-19 against the rest.
        metrics: receives the values of the hold-out.
        classification: receives confusion matrix and rates.
        run: see `RunContext`.
    """
    with open_step("evaluate", run) as step:
        from covidctnet.bundle import load_bundle
        from covidctnet.evaluation.roc import covid_roc_points
        from covidctnet.stages.evaluate_holdout import evaluate_holdout
        from covidctnet.stages.write_results import write_results

        place, source, folder = Path(evaluated), open_cohort(Path(cohort)), Path(output)
        link_tree(Path(bundle), place)
        prepared = PreparedCohort.load(map(Path, records))
        result = evaluate_holdout(place, source, prepared, on_progress=step.on_progress)
        histories = load_histories([Path(denoiser), Path(training)])
        seconds = {
            "validate": sum(load_seconds(Path(path)) for path in (cohort, splits, validated)),
            "preprocess": sum(load_seconds(Path(path)) for path in records),
            "train denoiser": load_seconds(Path(denoiser)),
            "extract residuals": sum(load_seconds(Path(path)) for path in residuals),
            "train classifier": load_seconds(Path(training)),
        }
        folder.mkdir(parents=True, exist_ok=True)
        summary = write_results(folder, load_bundle(place), prepared, result, histories, seconds)
        publish(folder / "report.html", Path(html))
        figures = plain_metrics(summary["metrics"])
        step.tracker.log_metrics(figures)
        step.tracker.log_figures(folder / "figures")
        step.tracker.log_artifact(folder / "report.html")
        step.save_seconds(folder)
        for name, value in figures.items():
            log_metric(name, value)
        confusion, roc = summary["metrics"]["three_class"]["confusion"], covid_roc_points(result.outcomes)
        log_confusion(list(LABELS), confusion)
        log_roc(*roc)
        write_json(Path(metrics), figures)
        write_json(Path(classification), {"labels": LABELS, "confusion": confusion, "covid_roc": roc})


def plain_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The figures of a hold-out that have a value, by name, with the ends of their intervals."""
    found: dict[str, float] = {}
    for group in ("three_class", "covid"):
        for name, value in metrics[group].items():
            if isinstance(value, dict) and value.get("value") is not None:
                found[f"{group}_{name}"] = float(value["value"])
                for end in ("low", "high"):
                    if value.get(end) is not None:
                        found[f"{group}_{name}_{end}"] = float(value[end])
    return found


def register(
    *,
    bundle: str,
    records: Sequence[str],
    output: str,
    log_metric: Callable[[str, float], None],
    metrics: str,
    run: Mapping[str, str],
) -> int:
    """Register the evaluated bundle as a candidate model; what becomes of it is decided elsewhere.

    Args:
        bundle: with its hold-out metrics.
        records: of all shards; the model's card names the sites of the cases.
        output: receives `registration.json` with the model's version.
        log_metric: takes the version.
        metrics: receives it, too.
        run: see `RunContext`.

    Returns:
        The version.
    """
    with open_step("register", run) as step:
        from integrations.registry import register_bundle
        from integrations.tracking import TrackingSettings

        settings = TrackingSettings(**step.run.tracking)
        prepared = PreparedCohort.load(map(Path, records))
        trained_on = _origins(prepared, "denoiser", "train")
        version = register_bundle(
            Path(bundle),
            run_key=step.run.run_key,
            settings=settings,
            sites=trained_on.sites,
            judged_by=_origins(prepared, "validation", "holdout"),
        )
        folder = Path(output)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / REGISTRATION, {"model": settings.model, "version": version})
        log_metric("version", float(version))
        write_json(Path(metrics), {"version": version})
        step.save_seconds(folder)
        return version


def _origins(prepared: PreparedCohort, *splits: str) -> Origins:
    cases = [case for split in splits for case in prepared.of(split)]
    return Origins(
        sites=tuple(sorted({case.case.site for case in cases})),
        scanners=tuple(sorted({str(case.scanner) for case in cases})),
    )
