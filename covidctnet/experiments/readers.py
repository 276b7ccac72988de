"""`experiment readers`: model and human readers on the same cases of an independent test set (paper, Table 3)."""

import time
from pathlib import Path

from covidctnet.cohort import Cohort
from covidctnet.experiments.reader_figures import save_reader_figures
from covidctnet.experiments.results import ExperimentResult, Statement, write_result
from covidctnet.files import write_json
from covidctnet.labels import COVID, LABELS
from covidctnet.machine import code_version
from covidctnet.predictor import Predictor
from covidctnet.progress import Progress, silent
from covidctnet.readers.answers import answer_cases, reader_cases
from covidctnet.readers.compare import ReaderComparison, compare_with_readers
from covidctnet.readers.files import CLOUDS, SCORES
from covidctnet.readers.paired import MeanDifference
from covidctnet.readers.shown import show_cases
from covidctnet.readers.table import ReaderTable
from covidctnet.readers.tables import plain_scores, reader_tables
from covidctnet.report.turning_clouds import turning_clouds


def run_readers(
    bundle: Path,
    whole: Cohort,
    table: ReaderTable,
    output: Path,
    *,
    kept: Path,
    data_version: str,
    on_progress: Progress = silent,
) -> ExperimentResult:
    """Compare a bundle with human readers.

    Args:
        bundle: folder of the bundle; none of the patients may have shaped it.
        whole: cohort that holds the cases.
        table: what the readers answered.
        output: folder that holds `result.json`, `figures/`, `scores.json` and `clouds.json` afterwards.
        kept: folder of the model's answers, see `answer_cases`.
        data_version: of the cohort.
        on_progress: told of each finished case.

    Raises:
        BundleError: the folder is no intact bundle.
        CohortError: the answers or the cases cannot be compared; the message says why.
    """
    started = time.monotonic()
    predictor = Predictor.load(bundle)
    cases = reader_cases(whole, table.cases, predictor.bundle.reference.trained_on)
    answers = answer_cases(predictor, whole, cases, kept, on_progress=on_progress)
    config = predictor.bundle.config
    found = compare_with_readers(
        answers,
        table,
        threshold=predictor.bundle.calibration.threshold,
        config=config.evaluation,
        seed=config.seed,
    )
    shown = show_cases(found, predictor, whole, {case.case: case for case in cases})
    phantoms = sum(whole.truth_path(case.case).is_file() for case in cases)
    window = (config.preprocess.hu_min, config.preprocess.hu_max)
    output.mkdir(parents=True, exist_ok=True)
    write_json(output / CLOUDS, turning_clouds(shown.typical, window, config.seed))
    about = {
        "cases": len(cases),
        "covid": found.counts[LABELS[COVID]],
        "phantoms": phantoms,
        "simulated": table.simulated,
        "hard": shown.wrong_count,
        "unnamed": found.unnamed,
    }
    write_json(output / SCORES, {"about": about, "raters": plain_scores(found)})
    result = ExperimentResult(
        experiment="readers",
        title="Model against readers",
        question="Does the model tell Covid-19, CAP and Control apart as well as readers do, on the same new cases?",
        profile=config.name,
        seeds=(config.seed,),
        data_version=data_version,
        code_version=code_version(),
        cases=found.counts,
        simulated=table.simulated or phantoms > 0,
        statements=tuple(_statements(found, phantoms, recorded=bool(predictor.bundle.reference.trained_on))),
        tables=tuple(reader_tables(found)),
        figures=tuple(save_reader_figures(found, shown, config, output)),
        seconds=round(time.monotonic() - started, 1),
        records={"clouds": CLOUDS, "scores": SCORES},
    )
    write_result(output, result)
    return result


def _statements(found: ReaderComparison, phantoms: int, *, recorded: bool) -> list[Statement]:
    """What the result says, then what a reader of it must know."""
    count, mixed = len(found.answers), ", ".join(f"{n} {name}" for name, n in found.counts.items())
    kind = f"{len(found.readers)} {'simulated ' if found.simulated else ''}readers"
    sentences = [
        *(_verdict(d) for d in found.differences if d.endpoint in ("accuracy", "covid accuracy")),
        f"{count} cases ({mixed}) and {kind}; one case a patient"
        + (", none of whom shaped the bundle." if recorded else "."),
    ]
    warnings = []
    if not recorded:
        warnings.append(
            "The bundle does not record which patients shaped it: whether these cases are new to it is not known."
        )
    if found.simulated:
        warnings.append("The readers are simulated by a program: nothing here says how well people read.")
    if phantoms:
        warnings.append(f"{phantoms} of {count} cases are phantoms: nothing here is clinical accuracy.")
    if found.unnamed:
        warnings.append(
            f"The model named no class for {found.unnamed} of {count} cases; each counts as a wrong answer, for a "
            "reader had to answer."
        )
    return [
        *(Statement(text=text, tone="neutral") for text in sentences),
        *(Statement(text=text, tone="warning") for text in warnings),
    ]


def _verdict(difference: MeanDifference) -> str:
    what = "three classes" if difference.endpoint == "accuracy" else "two classes"
    found = difference.these_readers
    if found.value is None or found.low is None or found.high is None:
        return f"Accuracy, {what}: no interval of model minus mean reader can be given."
    bounds = f"{found.value:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
    if found.low > 0:
        side = "lies above 0: the model is right more often than these readers on average"
    elif found.high < 0:
        side = "lies below 0: these readers on average are right more often than the model"
    else:
        side = "includes 0: neither is shown to be better"
    return f"Accuracy, {what}: model minus mean reader is {bounds}; the interval {side}."
