"""Prepared cases -> names of folds to fan out over."""

from kfp.dsl import Dataset, Input

from components.base import component


@component()
def list_folds(
    records: Input[Dataset],
    schemes: str,
    options: str,
    data_version: str,
    config: str,
    code_version: str,
    tracking: str,
) -> list:
    """Name every fold: the split, each of k folds, each scanner brand or site that is left out.

    Args:
        records: A record of each case, shards joined.
        schemes: Of split, folds, brands and sites, divided by commas.
        options: Of the experiment, as JSON.
        data_version: DVC's hash of the cohort.
        config: The whole configuration, as JSON.
        code_version: Version of this code.
        tracking: Where MLflow is, as JSON.

    Returns:
        The names.
    """
    from integrations.steps import experiments

    return experiments.list_folds(
        records=records.path,
        schemes=schemes,
        options=options,
        run={"data_version": data_version, "config": config, "code_version": code_version, "tracking": tracking},
    )
