"""Evaluated bundle -> candidate model in the registry."""

from typing import List  # noqa: UP035

from kfp.dsl import Dataset, Input, Metrics, Model, Output

from components.base import component


@component()
def register(
    evaluated: Input[Model],
    records: Input[List[Dataset]],  # noqa: UP006
    registration: Output[Dataset],
    metrics: Output[Metrics],
    data_version: str,
    config: str,
    code_version: str,
    tracking: str,
) -> int:
    """Register the bundle as a candidate; what becomes of it is decided elsewhere.

    Args:
        evaluated: The bundle with its hold-out metrics.
        records: A record of each case, by shard.
        registration: Name and version of the model.
        metrics: The version.
        data_version: DVC's hash of the cohort.
        config: The whole configuration, as JSON.
        code_version: Version of this code.
        tracking: Where MLflow is, as JSON.

    Returns:
        The version.
    """
    from integrations.steps import results

    return results.register(
        bundle=evaluated.path,
        records=[shard.path for shard in records],
        output=registration.path,
        log_metric=metrics.log_metric,
        metrics=metrics.path,
        run={"data_version": data_version, "config": config, "code_version": code_version, "tracking": tracking},
    )
