"""Cohort and splits -> admitted cases, in shards."""

from kfp.dsl import HTML, Dataset, Input, Metrics, Output

from components.base import component


@component()
def validate_scanner_metadata(
    cohort: Input[Dataset],
    splits: Input[Dataset],
    validated: Output[Dataset],
    report: Output[HTML],
    metrics: Output[Metrics],
    policy: str,
    cases_per_shard: int,
    data_version: str,
    config: str,
    code_version: str,
    tracking: str,
) -> list:
    """Check the scanners of a data version; refuse it or leave cases out where the policy says so.

    Args:
        cohort: The fetched cohort.
        splits: The split of every patient.
        validated: The metadata table, suites, results and the shards.
        report: What was checked and found.
        metrics: Counts of cases, of those left out, of failures and warnings.
        policy: What fails, quarantines and warns, as YAML; the shipped policy where empty.
        cases_per_shard: Most cases of a shard.
        data_version: DVC's hash of the cohort.
        config: The whole configuration, as JSON.
        code_version: Version of this code.
        tracking: Where MLflow is, as JSON.

    Returns:
        The numbers of the shards.
    """
    from integrations.steps import cohorts

    return cohorts.validate_scanner_metadata(
        cohort=cohort.path,
        splits=splits.path,
        policy=policy,
        cases_per_shard=cases_per_shard,
        output=validated.path,
        html=report.path,
        log_metric=metrics.log_metric,
        metrics=metrics.path,
        run={"data_version": data_version, "config": config, "code_version": code_version, "tracking": tracking},
    )
