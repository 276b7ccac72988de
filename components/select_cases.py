"""Cohort -> the cases of an experiment."""

from kfp.dsl import Dataset, Input, Output

from components.base import component


@component()
def select_cases(
    cohort: Input[Dataset],
    selected: Output[Dataset],
    splits: Output[Dataset],
    cases: int,
    denoiser_controls: int,
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
        cases: Patients a class; 0 for all.
        denoiser_controls: Controls that train the denoiser.
        store: Folder on the shared disk.
        data_version: DVC's hash of the cohort.
        config: The whole configuration, as JSON.
        code_version: Version of this code.
        tracking: Where MLflow is, as JSON.
    """
    from integrations.steps import experiments

    experiments.select_cases(
        cohort=cohort.path,
        cases=cases,
        denoiser_controls=denoiser_controls,
        store=store,
        selected=selected.path,
        splits=splits.path,
        run={"data_version": data_version, "config": config, "code_version": code_version, "tracking": tracking},
    )
