"""Healthy slices -> denoiser."""

from typing import List  # noqa: UP035

from kfp.dsl import Dataset, Input, Metrics, Model, Output

from components.base import component


@component()
def train_denoiser(
    records: Input[List[Dataset]],  # noqa: UP006
    healthy: Input[List[Dataset]],  # noqa: UP006
    denoiser: Output[Model],
    metrics: Output[Metrics],
    state: str,
    data_version: str,
    config: str,
    code_version: str,
    tracking: str,
) -> None:
    """Train the denoiser to give back healthy lungs; goes on where an earlier attempt was killed.

    Args:
        records: A record of each case, by shard.
        healthy: Slices of healthy lungs with masks, by shard.
        denoiser: The network and its losses.
        metrics: Last losses.
        state: Folder on the shared disk for checkpoints.
        data_version: DVC's hash of the cohort.
        config: The whole configuration, as JSON.
        code_version: Version of this code.
        tracking: Where MLflow is, as JSON.
    """
    from integrations.steps import training

    training.train_denoiser(
        records=[shard.path for shard in records],
        healthy=[shard.path for shard in healthy],
        state=state,
        output=denoiser.path,
        log_metric=metrics.log_metric,
        metrics=metrics.path,
        run={"data_version": data_version, "config": config, "code_version": code_version, "tracking": tracking},
    )
