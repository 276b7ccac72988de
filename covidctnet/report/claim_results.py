"""What the results of experiments tell the CLAIM checklist."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from covidctnet.bundle import Bundle
from covidctnet.experiments.results import EXPERIMENTS, ExperimentResult
from covidctnet.files import read_json
from covidctnet.readers.answers import MODEL
from covidctnet.readers.files import SCORES
from covidctnet.report.claim import NOT_RUN


def result_facts(results: Mapping[str, ExperimentResult], folder: Path, bundle: Bundle) -> dict[str, str]:
    """Facts by name, as `claim.yaml` uses them; those of experiments that were not run say so.

    Args:
        results: by experiment.
        folder: of the experiments.
        bundle: whose patients the readers' cases must not be.
    """
    known = [name for name in EXPERIMENTS if name in results]
    return {
        "experiments": ", ".join(known) or f"{NOT_RUN} no experiment",
        "sizes": "; ".join(f"{name}: {_count(results[name])}" for name in known) or f"{NOT_RUN} no experiment",
        "flow": f"Cases analysed: {', '.join(f'{name} {sum(results[name].cases.values())}' for name in known)}.",
        "robustness": _of(results, ("scanners", "ablation", "crossval")),
        "explanation": _of(results, ("localisation",)) + " The residual stands over the slices and in 3D.",
        "statistics": "95 % intervals: exact (Clopper-Pearson) for shares of patients, else bootstrap by patient "
        f"within classes ({bundle.config.evaluation.bootstrap_samples} samples); McNemar's exact test, Holm's "
        "correction; Cohen's and Fleiss' kappa.",
        "limitations": _limits(results),
        **_reader_facts(results, folder, bundle),
    }


def _reader_facts(results: Mapping[str, ExperimentResult], folder: Path, bundle: Bundle) -> dict[str, str]:
    if "readers" not in results:
        names = ("test_set", "unnamed", "reference_standard", "agreement", "external", "accuracy", "failures")
        return dict.fromkeys(names, f"{NOT_RUN} covidctnet experiment readers")
    result, scores = results["readers"], read_json(folder / "readers" / SCORES)
    about: Mapping[str, Any] = scores["about"]
    who = "simulated readers" if about["simulated"] else "readers"
    phantoms = "phantoms, whose truth is known by construction" if about["phantoms"] else ""
    kappa = next((table.rows[0][1] for table in result.tables if table.name == "kappa"), "not computable")
    return {
        "test_set": f"reader test of {_count(result)}"
        + (f", {about['phantoms']} of them phantoms" if phantoms else ""),
        "unnamed": f"{about['unnamed']} of {about['cases']} cases",
        "reference_standard": f"The cohort's labels ({phantoms or 'as ingested'}).",
        "agreement": f"Fleiss' kappa of the {who}: {kappa}.",
        "external": f"{about['cases']} cases, read by the {who} too. {_independence(bundle)}",
        "accuracy": _accuracy(scores["raters"][MODEL]),
        "failures": f"{about['hard']} of {about['cases']} cases that the model or most {who} have wrong: gallery and "
        "every answer under readers.",
    }


def _independence(bundle: Bundle) -> str:
    if bundle.reference.trained_on:
        return "None of their patients shaped the bundle."
    return "Whether their patients shaped the bundle is not recorded."


def _accuracy(model: Mapping[str, Mapping[str, float | None]]) -> str:
    words = {"accuracy": "accuracy, three classes", "covid accuracy": "accuracy, two classes",
             "covid sensitivity": "Covid-19 sensitivity", "covid specificity": "Covid-19 specificity"}  # fmt: skip
    parts = [
        f"{text} {model[name]['value']:.3f} ({model[name]['low']:.3f} to {model[name]['high']:.3f})"
        for name, text in words.items()
    ]
    return "Reader test, exact 95 % intervals: " + ", ".join(parts) + "."


def _of(results: Mapping[str, ExperimentResult], names: Sequence[str]) -> str:
    run = [f"{results[name].title} (under {name})" for name in names if name in results]
    if not run:
        return f"{NOT_RUN} " + ", ".join(f"covidctnet experiment {name}" for name in names) + "."
    return "; ".join(run) + "."


def _limits(results: Mapping[str, ExperimentResult]) -> str:
    warnings = list(
        dict.fromkeys(one.text for result in results.values() for one in result.statements if one.tone == "warning")
    )
    return " ".join(warnings) or "None that the run could tell."


def _count(result: ExperimentResult) -> str:
    return ", ".join(f"{count} {label}" for label, count in result.cases.items())
