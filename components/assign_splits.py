"""Cohort -> splits."""

from kfp.dsl import Dataset, Input, Output

from components.base import component


@component()
def assign_splits(
    cohort: Input[Dataset],
    splits: Output[Dataset],
    ledger: str,
    data_version: str,
    config: str,
    code_version: str,
    tracking: str,
) -> None:
    """Give every patient a split, once and for all: denoiser, train, validation or holdout.

    Args:
        cohort: The fetched cohort.
        splits: The split of every patient.
        ledger: Table on the shared disk to which new patients are added.
        data_version: DVC's hash of the cohort.
        config: The whole configuration, as JSON.
        code_version: Version of this code.
        tracking: Where MLflow is, as JSON.
    """
    from integrations.steps import cohorts

    cohorts.settle_splits(
        cohort=cohort.path,
        ledger=ledger,
        output=splits.path,
        run={"data_version": data_version, "config": config, "code_version": code_version, "tracking": tracking},
    )
