"""Cohort -> the cases of an experiment."""

from kfp.dsl import Dataset, Input, Output

from components.base import component


@component()
def select_cases(
    cohort: Input[Dataset],
    selected: Output[Dataset],
    splits: Output[Dataset],
    options: str,
    store: str,
    data_version: str,
    config: str,
    code_version: str,
    tracking: str,
) -> None:
    """Choose so many patients a class, and the Controls that train the denoiser and do nothing else.

    Args:
        cohort: The fetched cohort.
        selected: The chosen cases, as the fetched cohort is written.
        splits: Who trains the denoiser.
        options: Of the experiment, as JSON.
        store: Folder on the shared disk.
        data_version: DVC's hash of the cohort.
        config: The whole configuration, as JSON.
        code_version: Version of this code.
        tracking: Where MLflow is, as JSON.
    """
    from integrations.steps import experiments

    experiments.select_cases(
        cohort=cohort.path,
        options=options,
        store=store,
        selected=selected.path,
        splits=splits.path,
        run={"data_version": data_version, "config": config, "code_version": code_version, "tracking": tracking},
    )
