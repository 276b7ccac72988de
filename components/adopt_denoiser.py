"""Bundle -> its denoiser."""

from kfp.dsl import Model, Output

from components.base import component


@component()
def adopt_denoiser(
    denoiser: Output[Model],
    bundle: str,
    pair_id: str,
    data_version: str,
    config: str,
    code_version: str,
    tracking: str,
) -> None:
    """Take the denoiser of a bundle in the place of one that is trained here.

    Args:
        denoiser: The network, as `train_denoiser` writes it.
        bundle: Folder on the shared disk.
        pair_id: Of the bundle.
        data_version: DVC's hash of the cohort.
        config: The whole configuration, as JSON.
        code_version: Version of this code.
        tracking: Where MLflow is, as JSON.
    """
    from integrations.steps import experiments

    experiments.adopt_denoiser(
        bundle=bundle,
        pair_id=pair_id,
        output=denoiser.path,
        run={"data_version": data_version, "config": config, "code_version": code_version, "tracking": tracking},
    )
