"""`experiment readers`: model and human readers on the same cases of an independent test set (paper, Table 3)."""

from pathlib import Path

from covidctnet.cohort import Cohort
from covidctnet.evaluation.bootstrap import Estimate
from covidctnet.experiments.reader_figures import save_reader_figures
from covidctnet.experiments.results import ExperimentResult, Statement, write_result
from covidctnet.files import write_json
from covidctnet.machine import code_version
from covidctnet.predictor import DISCLAIMER, Predictor
from covidctnet.progress import Progress, silent
from covidctnet.readers.answers import answer_cases, reader_cases
from covidctnet.readers.compare import ReaderComparison, compare_with_readers
from covidctnet.readers.shown import show_cases
from covidctnet.readers.table import load_readers
from covidctnet.readers.tables import plain_values, reader_tables
from covidctnet.report.turning_clouds import turning_clouds

NAME = "readers"
CLOUDS = "clouds.json"


def run_readers(
    bundle: Path, cohort: Path, readers: Path, output: Path, *, on_progress: Progress = silent
) -> ExperimentResult:
    """Compare a bundle with human readers.

    Args:
        bundle: folder of the bundle; none of the patients may have shaped it.
        cohort: folder of the cohort that holds the cases.
        readers: CSV with the columns case, reader, answer.
        output: folder that holds `result.json`, `figures/`, `answers/` and `clouds.json` afterwards.
        on_progress: told of each finished case.

    Raises:
        BundleError: the folder is no intact bundle.
        CohortError: the answers or the cases cannot be compared; the message says why.
    """
    table, whole = load_readers(readers), Cohort.load(cohort)
    predictor = Predictor.load(bundle)
    cases = reader_cases(whole, table.cases, predictor.bundle.reference.trained_on)
    answers = answer_cases(predictor, whole, cases, output / "answers", on_progress=on_progress)
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
    write_json(output / CLOUDS, turning_clouds(shown.typical, window, config.seed))
    result = ExperimentResult(
        experiment=NAME,
        title="Model against readers",
        profile=config.name,
        seed=config.seed,
        data_version=Cohort(folder=whole.folder, cases=tuple(cases)).version,
        code_version=code_version(),
        tables=tuple(reader_tables(found)),
        figures=tuple(save_reader_figures(found, shown, config, output)),
        statements=tuple(Statement(text=text) for text in _statements(found, phantoms)),
        values={
            "scores": plain_values(found),
            "cases": len(cases),
            "counts": found.counts,
            "readers": len(table.readers),
            "simulated": table.simulated,
            "phantoms": phantoms,
            "unnamed": found.unnamed,
            "wrong": shown.wrong_count,
            "pair_id": predictor.bundle.pair_id,
        },
    )
    write_result(result, output)
    return result


def _statements(found: ReaderComparison, phantoms: int) -> list[str]:
    """What a reader of the result must know, and what it says."""
    count, mixed = len(found.answers), ", ".join(f"{n} {name}" for name, n in found.counts.items())
    kind = f"{len(found.readers)} {'simulated ' if found.simulated else ''}readers"
    sentences = [f"{count} cases ({mixed}) and {kind}. {DISCLAIMER}"]
    if found.simulated:
        sentences.append("The readers are simulated by a program: nothing here says how well people read.")
    if phantoms:
        sentences.append(f"{phantoms} of {count} cases are phantoms: nothing here is clinical accuracy.")
    if found.unnamed:
        sentences.append(
            f"The model named no class for {found.unnamed} of {count} cases; each counts as a wrong answer, for a "
            "reader had to answer."
        )
    for difference in found.differences:
        if difference.endpoint in ("accuracy", "covid accuracy"):
            sentences.append(_verdict(difference.endpoint, difference.these_readers))
    return sentences


def _verdict(endpoint: str, found: Estimate) -> str:
    what = "three classes" if endpoint == "accuracy" else "two classes"
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
