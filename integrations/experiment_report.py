"""All experiments in one report: HTML that needs nothing else, and Markdown."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from covidctnet.bundle import Bundle, load_bundle
from covidctnet.errors import ExperimentError
from covidctnet.experiments.results import EXPERIMENTS
from covidctnet.predictor import DISCLAIMER
from covidctnet.report.claim import claim_grid, count_open, fill_claim
from covidctnet.report.claim_facts import bundle_facts
from covidctnet.report.claim_results import result_facts
from covidctnet.report.document import Block, Document, Grid, Paragraph, Section, render_html, render_markdown
from covidctnet.report.experiment_sections import experiment_section, load_results, overview
from covidctnet.report.paper_comparison import comparison_section
from integrations.model_card import LIMITS, NOT_EVALUATED, Origins, card_facts, card_metrics

HTML_FILE, MARKDOWN_FILE = "report.html", "report.md"


@dataclass(frozen=True, kw_only=True)
class WrittenReport:
    """Where a report is, and what it lacks.

    Attributes:
        html, markdown: the files.
        present, missing: names of experiments.
        claim: items of the checklist by state.
    """

    html: Path
    markdown: Path
    present: tuple[str, ...]
    missing: tuple[str, ...]
    claim: Mapping[str, int]


def write_report(experiments: Path, bundle_folder: Path) -> WrittenReport:
    """Write `report.html` and `report.md` into the folder of the experiments.

    Args:
        experiments: one folder an experiment, each with its `result.json`.
        bundle_folder: the bundle whose model card and hold-out the report shows.

    Raises:
        ExperimentError: there is no result at all, or one cannot be read.
        BundleError: the folder is no intact bundle.
    """
    results = load_results(experiments)
    if not results:
        raise ExperimentError(
            f"{experiments.name} holds no result; run one of: "
            + ", ".join(f"covidctnet experiment {name}" for name in EXPERIMENTS)
        )
    bundle = load_bundle(bundle_folder)
    filled = fill_claim({**bundle_facts(bundle), **result_facts(results, experiments, bundle)})
    counts = count_open(filled)
    document = Document(
        title="CovidCTNet: the paper's experiments, run again",
        disclaimer=f"{DISCLAIMER} Nothing here is a claim of clinical accuracy.",
        versions=(
            ("bundle", bundle.pair_id),
            ("data", bundle.data_version),
            ("code", bundle.code_version),
            ("profile", bundle.config.name),
            ("seed", str(bundle.config.seed)),
        ),
        sections=(
            overview(results, _confounding(bundle)),
            comparison_section(results, experiments, bundle),
            *(experiment_section(result, experiments / name) for name, result in results.items()),
            Section(name="claim", title="CLAIM checklist", blocks=(_claim_summary(counts), claim_grid(filled))),
            _card_section(bundle),
        ),
    )
    html, markdown = experiments / HTML_FILE, experiments / MARKDOWN_FILE
    for path, text in ((html, render_html(document)), (markdown, render_markdown(document, experiments))):
        partial = path.with_name(path.name + ".partial")
        partial.write_text(text, "utf-8")
        os.replace(partial, path)
    return WrittenReport(
        html=html,
        markdown=markdown,
        present=tuple(results),
        missing=tuple(name for name in EXPERIMENTS if name not in results),
        claim=counts,
    )


def _claim_summary(counts: Mapping[str, int]) -> Paragraph:
    return Paragraph(
        kind="notice",
        text=f"The run fills {counts['filled']} of 42 items alone. To {counts['person']} a person must add something, "
        f"TO ADD. {counts['not run']} wait for an experiment that was not run. A filled item is a draft: read it.",
    )


def _confounding(bundle: Bundle) -> list[Paragraph]:
    """The alert of a bundle whose training cohort tells the class by its scanner; nothing where it does not."""
    baselines = (bundle.metrics or {}).get("baselines") or {}
    if baselines.get("confounded") is None:
        return [Paragraph(kind="notice", text="Whether the scanner alone tells the class was not measured.")]
    if not baselines["confounded"]:
        return []
    area = baselines["metadata"]["macro_auc"]["value"]
    return [
        Paragraph(
            kind="alert",
            text=f"Confounded: scanner and acquisition alone tell the class of the hold-out, macro AUC {area:.3f} (0.5 "
            "is chance). This bundle may have learned the scanner instead of the disease, and no figure of this "
            "report can tell.",
        )
    ]


def _card_section(bundle: Bundle) -> Section:
    facts = card_facts(bundle, sites=(), judged_by=Origins(), run_key="")
    rows, measured = card_metrics(bundle), (bundle.metrics or {}).get("metrics")
    blocks: list[Block] = [
        Paragraph(text=f"Bundle {bundle.pair_id}. {DISCLAIMER}"),
        Grid(title="Model card", columns=("what", "value"), rows=tuple(facts), note=LIMITS),
    ]
    if measured:
        blocks.append(
            Grid(
                title=f"Hold-out of training: {measured['cases']} cases of {measured['patients']} patients",
                columns=("metric", "value", "interval"),
                rows=tuple(rows),
            )
        )
    else:
        blocks.append(Paragraph(kind="notice", text=NOT_EVALUATED))
    return Section(name="card", title="Model card", blocks=tuple(blocks))
