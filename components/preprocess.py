"""One shard of cases -> slices."""

from kfp.dsl import Dataset, Input, Output

from components.base import component


@component()
def preprocess(
    cohort: Input[Dataset],
    splits: Input[Dataset],
    validated: Input[Dataset],
    slices: Output[Dataset],
    healthy: Output[Dataset],
    records: Output[Dataset],
    shard: int,
    data_version: str,
    config: str,
    code_version: str,
    tracking: str,
) -> str:
    """Read, check and preprocess the cases of one shard.

    Args:
        cohort: The fetched cohort.
        splits: The split of every patient.
        validated: The shards.
        slices: Slices of training and validation.
        healthy: Slices of healthy lungs for the denoiser, with masks.
        records: A record of each case.
        shard: Number of the shard, from 0.
        data_version: DVC's hash of the cohort.
        config: The whole configuration, as JSON.
        code_version: Version of this code.
        tracking: Where MLflow is, as JSON.

    Returns:
        Address of the slices, so that the shard's residuals need no other shard.
    """
    from integrations.steps import training

    return training.preprocess(
        cohort=cohort.path,
        splits=splits.path,
        validated=validated.path,
        shard=shard,
        slices=slices.path,
        healthy=healthy.path,
        records=records.path,
        address=slices.uri,
        run={"data_version": data_version, "config": config, "code_version": code_version, "tracking": tracking},
    )
