"""One fold -> a trained patch-based baseline and its answers."""

from kfp.dsl import Dataset, Input, Output

from components.base import component


@component()
def train_patches(
    records: Input[Dataset],
    slices: Input[Dataset],
    answers: Output[Dataset],
    fold: str,
    options: str,
    state: str,
    data_version: str,
    config: str,
    code_version: str,
    tracking: str,
) -> str:
    """Train the patch-based baseline on one fold and answer for the tested patients.

    Args:
        records: A record of each case, shards joined.
        slices: Slices of all cases, shards joined.
        answers: Answers of validation and test.
        fold: Name of the fold.
        options: Of the experiment, as JSON.
        state: Folder on the shared disk for checkpoints.
        data_version: DVC's hash of the cohort.
        config: The whole configuration, as JSON.
        code_version: Version of this code.
        tracking: Where MLflow is, as JSON.

    Returns:
        Address of the answers.
    """
    from integrations.steps import experiments

    return experiments.train_patches(
        records=records.path,
        slices=slices.path,
        fold=fold,
        options=options,
        state=state,
        answers=answers.path,
        address=answers.uri,
        run={"data_version": data_version, "config": config, "code_version": code_version, "tracking": tracking},
    )
