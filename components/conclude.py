"""Answers of all folds -> the result of an experiment."""

from typing import List  # noqa: UP035

from kfp.dsl import Dataset, Input, Output

from components.base import component


@component()
def conclude(
    cohort: Input[Dataset],
    splits: Input[Dataset],
    answers: Input[List[Dataset]],  # noqa: UP006
    result: Output[Dataset],
    experiment: str,
    seeds: str,
    data_version: str,
    config: str,
    code_version: str,
    tracking: str,
) -> None:
    """Score the answers of every arm, seed and fold, compare them and write the result.

    Args:
        cohort: The chosen cases.
        splits: Who trained the denoiser.
        answers: Of every arm, seed and fold.
        result: Tables, figures and statements.
        experiment: Its name.
        seeds: Of the repetitions, divided by spaces.
        data_version: DVC's hash of the cohort.
        config: The whole configuration, as JSON.
        code_version: Version of this code.
        tracking: Where MLflow is, as JSON.
    """
    from integrations.steps import experiment_results as steps

    steps.conclude(
        experiment=experiment,
        cohort=cohort.path,
        splits=splits.path,
        answers=[part.path for part in answers],
        seeds=seeds,
        output=result.path,
        run={"data_version": data_version, "config": config, "code_version": code_version, "tracking": tracking},
    )
