"""Outcomes -> metrics, `summary.json`, figures and the report; metrics are attached to the bundle."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from covidctnet.bundle import Bundle, attach_metrics
from covidctnet.config import Config
from covidctnet.evaluation.baselines import Baselines, CaseDescription, fit_baselines
from covidctnet.evaluation.metrics import Metrics, evaluate
from covidctnet.evaluation.residual_contrast import ResidualContrast, summarise_contrast
from covidctnet.evaluation.tables import MetricRow, format_interval, format_value, metric_rows
from covidctnet.files import write_json
from covidctnet.labels import LABELS
from covidctnet.predictor import DISCLAIMER, Examination
from covidctnet.report.data import CaseExample, CohortCount, ReportData
from covidctnet.report.render import render_report
from covidctnet.stages.evaluate_holdout import HoldoutResult
from covidctnet.stages.prepared import PreparedCase, PreparedCohort
from covidctnet.training.history import History
from covidctnet.volume import BoolArray

FEW_REAL_PATIENTS = 30
"""Below so many real patients nothing can be said about accuracy: one more answer moves it by 3 %."""


def write_results(
    output: Path,
    bundle: Bundle,
    prepared: PreparedCohort,
    result: HoldoutResult,
    histories: Mapping[str, History],
    seconds: Mapping[str, float],
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Score the hold-out and write what a training leaves behind.

    Args:
        output: receives `summary.json`, `report.html` and `figures/`.
        bundle: whose metrics these are; they are attached to it.
        prepared: all cases of the run.
        result: what the hold-out gave.
        histories: losses by training.
        seconds: by stage.
        notes: sentences that the report shows at its top.

    Returns:
        The content of `summary.json`.
    """
    config = bundle.config
    metrics = evaluate(
        result.outcomes, threshold=bundle.calibration.threshold, config=config.evaluation, seed=config.seed
    )
    baselines = fit_baselines(
        [_describe(case) for case in prepared.of("train")],
        [_describe(case) for case in prepared.of("holdout")],
        config=config.evaluation,
        seed=config.seed,
    )
    contrast = summarise_contrast(result.regions, config=config.evaluation, seed=config.seed)
    all_notes = (*notes, *cohort_notes(prepared.cases), *learning_notes(histories), *judgement_notes(result))
    data = _report_data(bundle, prepared, result, histories, seconds, metrics, baselines, contrast, all_notes)
    render_report(data, output)
    summary = {
        "profile": config.name,
        "seed": config.seed,
        "data_version": bundle.data_version,
        "code_version": bundle.code_version,
        "config_digest": config.digest,
        "pair_id": bundle.pair_id,
        "holdout_patients": metrics.patients,
        "table": [asdict(row) for row in (*metric_rows(metrics), *_more_rows(baselines, contrast))],
        "metrics": metrics.to_dict(),
        "baselines": baselines.to_dict(),
        "residual_contrast": [asdict(method) for method in contrast],
        "seconds": {
            **{name: round(value, 1) for name, value in seconds.items()},
            "total": round(sum(seconds.values()), 1),
        },
        "notes": list(all_notes),
        "disclaimer": DISCLAIMER,
    }
    attach_metrics(bundle, {"metrics": summary["metrics"], "baselines": summary["baselines"]})
    write_json(output / "summary.json", summary)
    return summary


def cohort_notes(cases: Sequence[PreparedCase]) -> list[str]:
    """What a reader must know of a cohort before any figure."""
    real = {case.case.patient for case in cases if not case.phantom}
    phantoms = {case.case.patient for case in cases} - real
    notes = []
    if phantoms:
        notes.append(
            f"{len(phantoms)} of {len(real) + len(phantoms)} patients are phantoms: nothing here is clinical accuracy."
        )
    if 0 < len(real) < FEW_REAL_PATIENTS:
        notes.append(
            f"{_spell(len(real))} real {'patients prove' if len(real) > 1 else 'patient proves'} nothing "
            "about accuracy: real scans run through, and that is all."
        )
    return notes


def learning_notes(histories: Mapping[str, History]) -> list[str]:
    """What a reader must know of a training that failed without an error."""
    best, guessing = min(histories["classifier"]["val_loss"]), math.log(len(LABELS))
    if best < 0.98 * guessing:
        return []
    return [
        f"The classifier learned nothing: its best validation loss is {best:.2f}, and {guessing:.2f} is that "
        "of answering the same to everything. Do not use this bundle."
    ]


def judgement_notes(result: HoldoutResult) -> list[str]:
    """How many hold-out cases get no class in an answer; the metrics count them by their probabilities."""
    unjudged = sum(not outcome.judged for outcome in result.outcomes)
    if not unjudged:
        return []
    return [
        f"{unjudged} of {len(result.outcomes)} hold-out cases are too unlike the training data: an answer for them "
        "names no class. The metrics count their probabilities like all others."
    ]


def _spell(count: int) -> str:
    words = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")
    return words[count] if count < len(words) else str(count)


def _describe(case: PreparedCase) -> CaseDescription:
    return CaseDescription(
        case=case.case.case,
        patient=case.case.patient,
        label=case.label,
        scanner=case.scanner,
        spacing_mm=case.spacing_mm,
        shape=case.shape,
        mean_lung_hu=case.mean_lung_hu,
    )


def _more_rows(baselines: Baselines, contrast: Sequence[ResidualContrast]) -> list[MetricRow]:
    rows = [
        MetricRow(
            what=f"baseline, {name}: macro AUC",
            value=format_value(result.macro_auc.value),
            interval=format_interval(result.macro_auc),
        )
        for name, result in (
            ("scanner metadata", baselines.metadata),
            ("lung density", baselines.lung_density),
        )
    ]
    for method in contrast:
        for what, estimate in (
            ("infection / healthy lung", method.infection_to_healthy),
            ("Control lung / infection", method.control_to_infection),
        ):
            rows.append(
                MetricRow(
                    what=f"residual, {method.method}: {what}",
                    value=format_value(estimate.value),
                    interval=format_interval(estimate),
                )
            )
    return rows


def _report_data(
    bundle: Bundle,
    prepared: PreparedCohort,
    result: HoldoutResult,
    histories: Mapping[str, History],
    seconds: Mapping[str, float],
    metrics: Metrics,
    baselines: Baselines,
    contrast: Sequence[ResidualContrast],
    notes: Sequence[str],
) -> ReportData:
    config: Config = bundle.config
    holdout = {case.case.case: case for case in prepared.of("holdout")}
    kept = [_example(holdout[name], prepared.truth(holdout[name]), seen) for name, seen in result.kept.items()]
    return ReportData(
        title="CovidCTNet experiment",
        profile=config.name,
        config=asdict(config),
        seed=config.seed,
        data_version=bundle.data_version,
        code_version=bundle.code_version,
        pair_id=bundle.pair_id,
        seconds=seconds,
        cohort_table=_count(prepared.cases),
        metrics=metrics,
        baselines=baselines,
        contrast=contrast,
        histories=histories,
        outcomes=result.outcomes,
        examples=[example for example in kept if example.predicted == example.label] or kept,
        wrong=[example for example in kept if example.predicted != example.label],
        notes=notes,
    )


def _example(case: PreparedCase, known: Mapping[str, BoolArray] | None, seen: Examination) -> CaseExample:
    truth = known or {}
    probabilities = tuple(seen.answer.probabilities[name] for name in LABELS)
    extent = tuple(count * step for count, step in zip(case.shape, case.spacing_mm, strict=True))
    return CaseExample(
        case=case.case.case,
        label=case.label,
        probabilities=probabilities,  # type: ignore[arg-type]
        slices=seen.slices,
        denoised=seen.denoised,
        infection=truth.get("infection"),
        lung=truth.get("lung"),
        extent_mm=extent,  # type: ignore[arg-type]
        where=seen.answer.burden.words,
    )


def _count(prepared: Sequence[PreparedCase]) -> list[CohortCount]:
    cases: Counter[tuple[str, str, str]] = Counter()
    patients: dict[tuple[str, str, str], set[str]] = {}
    for case in prepared:
        key = case.case.label, str(case.scanner), case.split
        cases[key] += 1
        patients.setdefault(key, set()).add(case.case.patient)
    return [
        CohortCount(label=label, scanner=scanner, split=split, patients=len(patients[key]), cases=count)
        for key, count in sorted(cases.items())
        for label, scanner, split in [key]
    ]
