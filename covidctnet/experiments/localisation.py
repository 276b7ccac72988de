"""Result of the localisation: the claim that the denoiser highlights the infection, measured beside what is simpler."""

from collections.abc import Sequence

import numpy as np

from covidctnet.evaluation.bootstrap import Estimate
from covidctnet.evaluation.residual_contrast import ResidualContrast, summarise_contrast
from covidctnet.experiments.build import ResultFolder, estimate_cells, interval_text, rounded
from covidctnet.experiments.localisation_figures import methods_figure, panels_figure, profile_figure
from covidctnet.experiments.localisation_metrics import (
    MethodMetrics,
    marked_slices,
    measure_method,
    paired_voxel_auc,
    slice_auc,
)
from covidctnet.experiments.localise import DENOISER, CaseImages, CaseLocalisation, method_names
from covidctnet.experiments.results import ExperimentResult, Statement, Table


def conclude_localisation(
    target: ResultFolder, cases: Sequence[CaseLocalisation], examples: Sequence[CaseImages], *, what: str
) -> ExperimentResult:
    """Write the result.

    Args:
        target: receives all.
        cases: measurements of every case.
        examples: images of one case a class, for the figures.
        what: the truth is, in words.
    """
    config = target.about.config
    settings, seed = config.evaluation, config.seed
    names = method_names(config)
    methods = [measure_method(cases, name, settings, seed) for name in names]
    masked = [case for case in cases if case.regions]
    regions = {name: [case.regions[name] for case in masked] for name in names} if masked else {}
    contrast = summarise_contrast(regions, config=settings, seed=seed)
    _record_slices(target, cases, names)
    statements = [
        _say(target, cases, methods, "slice", [method.slice_auc for method in methods]),
        _say(target, cases, methods, "voxel", [method.voxel_auc for method in methods]),
    ]
    if contrast:
        statements.append(_say_contrast(contrast))
    target.draw(
        "methods",
        "Methods side by side",
        methods_figure(methods, contrast),
        "Dots are values, bars 95 % intervals over patients. 0.5 is chance for the areas, 1 no contrast for the ratio.",
    )
    target.draw(
        "profiles",
        "Score by slice",
        profile_figure(examples),
        "Mean residual of the denoiser over the lung of each slice, from feet to head, beside the mean intensity; "
        "shaded slices are infected. At both ends, little lung and much of its border are in a slice.",
    )
    target.draw(
        "panels",
        "Where each method points",
        panels_figure(examples, names),
        "The slice with most infection, or with the strongest residual where none is known. Yellow: outline of the "
        "infection mask, where there is one. Each method's colours end at its own 99th percentile in the lungs shown.",
    )
    tables = [_method_table(methods, cases, what)]
    if contrast:
        tables.append(_contrast_table(contrast))
    return target.close(
        "Localisation",
        "Does the denoiser's residual lie where the infection is, and more so than what needs no training?",
        statements,
        tables,
    )


def _say(
    target: ResultFolder,
    cases: Sequence[CaseLocalisation],
    methods: Sequence[MethodMetrics],
    unit: str,
    areas: Sequence[Estimate],
) -> Statement:
    settings, seed = target.about.config.evaluation, target.about.config.seed
    found = {method.method: area for method, area in zip(methods, areas, strict=True) if area.value is not None}
    if DENOISER not in found:
        return Statement(
            f"No AUC a {unit}: "
            + ("no mask of the infection was given." if unit == "voxel" else "the marked slices have one kind only."),
            "warning",
        )
    mine = found.pop(DENOISER)
    rival = max(found, key=lambda name: found[name].value or 0.0)
    difference = (
        slice_auc(cases, DENOISER, settings, seed, less=rival)
        if unit == "slice"
        else paired_voxel_auc(cases, DENOISER, rival, settings, seed)
    )
    low, high = difference.low, difference.high
    verdict = "which of the two is better is not shown."
    if low is not None and high is not None and (low > 0 or high < 0):
        verdict = f"the denoiser is {'better' if low > 0 else 'worse'}."
    return Statement(
        f"AUC a {unit}: denoiser {mine.value:.3f} ({interval_text(mine.low, mine.high)}); the best of the simple "
        f"methods, {rival}, {found[rival].value:.3f}; difference {difference.value or 0.0:+.3f} "
        f"({interval_text(low, high)}): {verdict}",
        "neutral" if verdict.startswith("the") else "warning",
    )


def _say_contrast(contrast: Sequence[ResidualContrast]) -> Statement:
    known = {entry.method: entry.infection_to_healthy for entry in contrast if entry.infection_to_healthy.value}
    if DENOISER not in known:
        return Statement("No residual ratio: no infection, or no healthy lung, is known.", "warning")
    mine = known.pop(DENOISER)
    rival = max(known, key=lambda name: known[name].value or 0.0)
    return Statement(
        f"Residual ratio, infection to healthy lung: denoiser {mine.value:.2f} ({interval_text(mine.low, mine.high)}), "
        f"the highest of the simple methods, {rival}, {known[rival].value:.2f}. A ratio tells how far infection stands "
        "out on the mean; an area tells how often it is above healthy lung, vessels and borders among it.",
        "neutral",
    )


def _method_table(methods: Sequence[MethodMetrics], cases: Sequence[CaseLocalisation], what: str) -> Table:
    truth, *_ = marked_slices(cases, methods[0].method)
    rows: list[tuple[str | float | int | None, ...]] = [
        (
            method.method,
            *estimate_cells(method.slice_auc),
            *estimate_cells(method.voxel_auc),
            rounded(method.pooled_voxel_auc.value),
            *estimate_cells(method.dice),
            rounded(method.best_dice),
            rounded(method.threshold),
        )
        for method in methods
    ]
    return Table(
        "methods",
        "Methods",
        (
            "Method", "AUC a slice", "low", "high", "AUC a voxel, mean of infected patients", "low ", "high ",
            "AUC a voxel, all patients pooled", "Dice at the best threshold of the other half", "low  ", "high  ",
            "Dice at the best threshold (optimistic)", "That threshold",
        ),
        tuple(rows),
        f"Truth: {what}. {int(truth.sum())} of {len(truth)} marked slices with lung are infected, {len(cases)} cases. "
        "Only voxels of the lungs count, and all of the infection. Intervals by patient, 95 %.",
    )  # fmt: skip


def _contrast_table(contrast: Sequence[ResidualContrast]) -> Table:
    return Table(
        "contrast",
        "Residual ratio",
        (
            "Method", "Infected patients", "Controls", "In infection", "In healthy lung", "In Controls",
            "Infection / healthy lung", "low", "high", "Controls / infection",
        ),
        tuple(
            (
                entry.method,
                entry.infected_patients,
                entry.control_patients,
                rounded(entry.infection),
                rounded(entry.healthy),
                rounded(entry.control),
                *estimate_cells(entry.infection_to_healthy),
                rounded(entry.control_to_infection.value),
            )
            for entry in contrast
        ),
        "Mean absolute score by region, 0 to 1, mean over patients; the HU threshold's is the intensity itself.",
    )  # fmt: skip


def _record_slices(target: ResultFolder, cases: Sequence[CaseLocalisation], names: Sequence[str]) -> None:
    rows = []
    for case in cases:
        for place in range(len(case.slices.position_mm)):
            scores = [round(float(case.slices.scores[name][place]), 6) for name in names]
            position, mark = float(case.slices.position_mm[place]), int(case.slices.infected[place])
            rows.append([case.case, round(position, 3), "" if mark < 0 else mark, *np.round(scores, 6)])
    target.record("slices", ("case", "slice_position_mm", "infected", *names), rows)
