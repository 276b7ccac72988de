"""Slices of one shard and the denoiser -> residual stacks."""

from kfp.dsl import Dataset, Input, Model, Output

from components.base import component


@component()
def extract_residuals(
    slices: Input[Dataset],
    denoiser: Input[Model],
    residuals: Output[Dataset],
    data_version: str,
    config: str,
    code_version: str,
    tracking: str,
) -> None:
    """Take what the denoiser gives back from each slice; what stays is the infection.

    Args:
        slices: Slices of one shard's training and validation cases.
        denoiser: The trained denoiser.
        residuals: Stacks and statistics of each case.
        data_version: DVC's hash of the cohort.
        config: The whole configuration, as JSON.
        code_version: Version of this code.
        tracking: Where MLflow is, as JSON.
    """
    from integrations.steps import training

    training.extract_residuals(
        slices=slices.path,
        denoiser=denoiser.path,
        output=residuals.path,
        run={"data_version": data_version, "config": config, "code_version": code_version, "tracking": tracking},
    )
