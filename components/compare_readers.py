"""Bundle and readers' answers -> the comparison of a reader study."""

from kfp.dsl import Dataset, Input, Output

from components.base import component


@component()
def compare_readers(
    cohort: Input[Dataset],
    result: Output[Dataset],
    bundle: str,
    pair_id: str,
    readers: str,
    state: str,
    data_version: str,
    config: str,
    code_version: str,
    tracking: str,
) -> None:
    """Answer for every case of the readers as serving would, and compare the model with them.

    Args:
        cohort: The fetched cohort.
        result: Tables, figures and statements.
        bundle: Folder on the shared disk.
        pair_id: Of the bundle.
        readers: CSV of the readers' answers on the shared disk.
        state: Folder that outlives the step; answers are kept there.
        data_version: DVC's hash of the cohort.
        config: The whole configuration, as JSON.
        code_version: Version of this code.
        tracking: Where MLflow is, as JSON.
    """
    from integrations.steps import readers as steps

    steps.compare_readers(
        cohort=cohort.path,
        bundle=bundle,
        pair_id=pair_id,
        readers=readers,
        state=state,
        output=result.path,
        run={"data_version": data_version, "config": config, "code_version": code_version, "tracking": tracking},
    )
