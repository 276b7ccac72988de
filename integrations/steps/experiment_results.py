"""The steps that end an experiment: what was answered, or where the residual lies, becomes a result."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from integrations.steps.cohorts import load_ledger, open_cohort
from integrations.steps.context import Step, open_step
from integrations.steps.training import NETWORK

_T = TypeVar("_T")


def localise(
    *,
    cohort: str,
    splits: str,
    denoiser: str,
    masks: str,
    slice_labels: str,
    output: str,
    run: Mapping[str, str],
) -> None:
    """Measure where the residual lies, and write the result.

    Args:
        cohort: output of `select_cases`.
        splits: output of `select_cases`; the denoiser's own Controls are left out.
        denoiser: output of `train_denoiser` or `adopt_denoiser`.
        masks: folder of infection masks by case; empty for a phantom's own.
        slice_labels: CSV of marked slices; empty for those that the masks give.
        output: receives the result.
        run: see `RunContext`.
    """
    with open_step("localise", run) as step:
        from covidctnet.experiments.build import About, ResultFolder, describe_cases
        from covidctnet.experiments.localisation import conclude_localisation
        from covidctnet.experiments.localise import Truth, keep_examples, localise_cases
        from covidctnet.experiments.slice_labels import SliceLabels
        from covidctnet.networks.saving import load_denoiser

        config, source = step.run.config, open_cohort(Path(cohort))
        split = load_ledger(Path(splits)).splits()
        cases = [case for case in source.cases if split[case.patient] != "denoiser"]
        labels = SliceLabels.load(Path(slice_labels)) if slice_labels else None
        if labels is not None:
            labels.require_cases([case.case for case in cases])
            cases = [case for case in cases if case.case in labels.marks]
        truth = Truth(masks=Path(masks) if masks else None, labels=labels)
        network = load_denoiser(Path(denoiser) / NETWORK, config.residual)
        images = localise_cases(source, cases, network, config, truth)
        measured, examples = keep_examples(_tell(images, len(cases), step))
        about = About(
            experiment="localisation",
            config=config,
            seeds=(config.seed,),
            data_version=step.run.data_version,
            code_version=step.run.code_version,
            **describe_cases(source, cases),
        )
        what = "masks of the infection" if labels is None else "slices marked by a reader"
        conclude_localisation(ResultFolder(Path(output), about), measured, examples, what=what)
        track_result(step, Path(output))


def _tell(images: Iterable[_T], total: int, step: Step) -> Iterator[_T]:
    for number, image in enumerate(images, 1):
        yield image
        step.on_progress("localise", number, total)


def conclude(
    *,
    experiment: str,
    cohort: str,
    splits: str,
    answers: Sequence[str],
    seeds: str,
    output: str,
    run: Mapping[str, str],
) -> None:
    """Score the answers of all folds and write the result.

    Args:
        experiment: its name.
        cohort: output of `select_cases`.
        splits: output of `select_cases`.
        answers: of every arm, seed and fold.
        seeds: of the repetitions, divided by spaces.
        output: receives the result.
        run: see `RunContext`.
    """
    with open_step(f"conclude {experiment}", run) as step:
        from covidctnet.experiments.answers import load_answers
        from covidctnet.experiments.build import About, ResultFolder, describe_cases
        from covidctnet.experiments.conclusions import CONCLUSIONS

        source = open_cohort(Path(cohort))
        split = load_ledger(Path(splits)).splits()
        about = About(
            experiment=experiment,  # type: ignore[arg-type]
            config=step.run.config,
            seeds=tuple(int(seed) for seed in seeds.split()),
            data_version=step.run.data_version,
            code_version=step.run.code_version,
            **describe_cases(source, [case for case in source.cases if split[case.patient] != "denoiser"]),
        )
        CONCLUSIONS[experiment](ResultFolder(Path(output), about), load_answers(map(Path, answers)))
        track_result(step, Path(output))


def track_result(step: Step, folder: Path) -> None:
    """Put the result that lies in a folder on record in MLflow, and keep the step's seconds beside it."""
    from covidctnet.experiments.results import load_result

    result = load_result(folder)
    step.tracker.set_tags({"covidctnet.experiment": result.experiment})
    step.tracker.log_params({"experiment": result.experiment, "seeds": " ".join(map(str, result.seeds))})
    step.tracker.log_figures(folder / "figures")
    step.save_seconds(folder)
