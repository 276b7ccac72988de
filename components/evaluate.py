"""Bundle and hold-out -> metrics and report."""

from typing import List  # noqa: UP035

from kfp.dsl import HTML, ClassificationMetrics, Dataset, Input, Metrics, Model, Output

from components.base import component


@component()
def evaluate(
    cohort: Input[Dataset],
    splits: Input[Dataset],
    validated: Input[Dataset],
    records: Input[List[Dataset]],  # noqa: UP006
    denoiser: Input[Model],
    residuals: Input[List[Dataset]],  # noqa: UP006
    training: Input[Dataset],
    bundle: Input[Model],
    evaluated: Output[Model],
    results: Output[Dataset],
    report: Output[HTML],
    metrics: Output[Metrics],
    classification: Output[ClassificationMetrics],
    data_version: str,
    config: str,
    code_version: str,
    tracking: str,
) -> None:
    """Answer for every hold-out case as serving would, and score the answers.

    Args:
        cohort: The fetched cohort.
        splits: The split of every patient.
        validated: The validation of the scanners.
        records: A record of each case, by shard.
        denoiser: The denoiser's losses.
        residuals: Residual stacks, by shard.
        training: The classifier's losses.
        bundle: The bundle without metrics.
        evaluated: The bundle with its hold-out metrics.
        results: Summary, report and figures.
        report: One self-contained page.
        metrics: Hold-out metrics with the ends of their intervals.
        classification: Confusion matrix of three classes, ROC of Covid-19.
        data_version: DVC's hash of the cohort.
        config: The whole configuration, as JSON.
        code_version: Version of this code.
        tracking: Where MLflow is, as JSON.
    """
    from integrations.steps import results as steps

    steps.evaluate(
        cohort=cohort.path,
        splits=splits.path,
        validated=validated.path,
        records=[shard.path for shard in records],
        denoiser=denoiser.path,
        residuals=[shard.path for shard in residuals],
        training=training.path,
        bundle=bundle.path,
        evaluated=evaluated.path,
        output=results.path,
        html=report.path,
        log_metric=metrics.log_metric,
        log_confusion=classification.log_confusion_matrix,
        log_roc=classification.log_roc_curve,
        metrics=metrics.path,
        classification=classification.path,
        run={"data_version": data_version, "config": config, "code_version": code_version, "tracking": tracking},
    )
