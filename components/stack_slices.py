"""Slices of one shard -> stacks without a denoiser."""

from kfp.dsl import Dataset, Input, Output

from components.base import component


@component()
def stack_slices(
    slices: Input[Dataset],
    residuals: Output[Dataset],
    with_noise: bool,
    data_version: str,
    config: str,
    code_version: str,
    tracking: str,
) -> None:
    """Resize the slices themselves to stacks, for the arms of an ablation that have no denoiser.

    Args:
        slices: Slices of one shard.
        residuals: Stacks, as `extract_residuals` writes them.
        with_noise: Draw pseudo-infections into the slices; for training cases alone.
        data_version: DVC's hash of the cohort.
        config: The whole configuration, as JSON.
        code_version: Version of this code.
        tracking: Where MLflow is, as JSON.
    """
    from integrations.steps import experiments

    experiments.stack_slices(
        slices=slices.path,
        with_noise=with_noise,
        output=residuals.path,
        run={"data_version": data_version, "config": config, "code_version": code_version, "tracking": tracking},
    )
