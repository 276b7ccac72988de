"""One fold -> a trained classifier and its answers."""

from kfp.dsl import Dataset, Input, Output

from components.base import component


@component()
def train_fold(
    records: Input[Dataset],
    stacks: Input[Dataset],
    training: Input[Dataset],
    answers: Output[Dataset],
    fold: str,
    arm: str,
    clinical: str,
    options: str,
    state: str,
    data_version: str,
    config: str,
    code_version: str,
    tracking: str,
) -> str:
    """Train the 3D classifier on one fold, calibrate it on validation and answer for the tested patients.

    Args:
        records: A record of each case, shards joined.
        stacks: Stacks of all cases, shards joined.
        training: Stacks of the training cases, where they differ.
        answers: Answers of validation and test.
        fold: Name of the fold.
        arm: What is varied, in words.
        clinical: Table of age and sex on the shared disk; empty without.
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

    return experiments.train_fold(
        records=records.path,
        stacks=stacks.path,
        training=training.path,
        fold=fold,
        arm=arm,
        clinical=clinical,
        options=options,
        state=state,
        answers=answers.path,
        address=answers.uri,
        run={"data_version": data_version, "config": config, "code_version": code_version, "tracking": tracking},
    )
