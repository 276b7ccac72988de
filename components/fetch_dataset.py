"""Data version -> cohort."""

from kfp.dsl import Dataset, Output

from components.base import component


@component()
def fetch_dataset(
    cohort: Output[Dataset],
    repository: str,
    endpoint: str,
    store: str,
    data_version: str,
    config: str,
    code_version: str,
    tracking: str,
) -> None:
    """Bring a data version from DVC to the disk that all steps share.

    Args:
        cohort: The cohort's table, and where its cases are.
        repository: Workspace's folder, or address of DVC's remote.
        endpoint: Address of an S3 server that is not Amazon's; empty otherwise.
        store: Folder on the shared disk.
        data_version: DVC's hash of the cohort.
        config: The whole configuration, as JSON.
        code_version: Version of this code.
        tracking: Where MLflow is, as JSON.
    """
    from integrations.steps import cohorts

    cohorts.fetch_dataset(
        repository=repository,
        endpoint=endpoint,
        store=store,
        output=cohort.path,
        run={"data_version": data_version, "config": config, "code_version": code_version, "tracking": tracking},
    )
