"""Denoiser and cases -> where the residual lies."""

from kfp.dsl import Dataset, Input, Model, Output

from components.base import component


@component()
def localise(
    cohort: Input[Dataset],
    splits: Input[Dataset],
    denoiser: Input[Model],
    result: Output[Dataset],
    masks: str,
    slice_labels: str,
    data_version: str,
    config: str,
    code_version: str,
    tracking: str,
) -> None:
    """Measure whether the residual lies in the infection, beside methods that need no training.

    Args:
        cohort: The chosen cases.
        splits: Who trained the denoiser.
        denoiser: The network.
        result: Tables, figures and statements.
        masks: Folder of infection masks on the shared disk; empty for a phantom's own.
        slice_labels: CSV of marked slices on the shared disk; empty without.
        data_version: DVC's hash of the cohort.
        config: The whole configuration, as JSON.
        code_version: Version of this code.
        tracking: Where MLflow is, as JSON.
    """
    from integrations.steps import experiment_results as steps

    steps.localise(
        cohort=cohort.path,
        splits=splits.path,
        denoiser=denoiser.path,
        masks=masks,
        slice_labels=slice_labels,
        output=result.path,
        run={"data_version": data_version, "config": config, "code_version": code_version, "tracking": tracking},
    )
