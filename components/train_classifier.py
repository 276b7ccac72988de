"""Residual stacks -> bundle."""

from typing import List  # noqa: UP035

from kfp.dsl import Dataset, Input, Metrics, Model, Output

from components.base import component


@component()
def train_classifier(
    records: Input[List[Dataset]],  # noqa: UP006
    residuals: Input[List[Dataset]],  # noqa: UP006
    denoiser: Input[Model],
    bundle: Output[Model],
    training: Output[Dataset],
    metrics: Output[Metrics],
    state: str,
    data_version: str,
    config: str,
    code_version: str,
    tracking: str,
) -> None:
    """Train the classifier, calibrate it and put it in one bundle with its denoiser.

    Args:
        records: A record of each case, by shard.
        residuals: Residual stacks, by shard.
        denoiser: The denoiser that made them.
        bundle: Both networks with all that an answer needs.
        training: Losses by epoch.
        metrics: Last losses.
        state: Folder on the shared disk for checkpoints.
        data_version: DVC's hash of the cohort.
        config: The whole configuration, as JSON.
        code_version: Version of this code.
        tracking: Where MLflow is, as JSON.
    """
    from integrations.steps import training as steps

    steps.train_classifier(
        records=[shard.path for shard in records],
        residuals=[shard.path for shard in residuals],
        denoiser=denoiser.path,
        state=state,
        bundle=bundle.path,
        training=training.path,
        log_metric=metrics.log_metric,
        metrics=metrics.path,
        run={"data_version": data_version, "config": config, "code_version": code_version, "tracking": tracking},
    )
