"""Candidate and champion -> decision."""

from kfp.dsl import HTML, Dataset, Input, Metrics, Model, Output

from components.base import component


@component()
def gate(
    cohort: Input[Dataset],
    splits: Input[Dataset],
    validated: Input[Dataset],
    evaluated: Input[Model],
    registration: Input[Dataset],
    decision: Output[Dataset],
    report: Output[HTML],
    metrics: Output[Metrics],
    ledger: str,
    champion: str,
    gate_policy: str,
    data_version: str,
    config: str,
    code_version: str,
    tracking: str,
) -> bool:
    """Compare the candidate with the champion on the same hold-out and decide; a person or a command promotes.

    Args:
        cohort: The fetched cohort.
        splits: The split of every patient.
        validated: The validation of the scanners, whose verdict is a rule.
        evaluated: The candidate.
        registration: Name and version of the candidate.
        decision: Reports of both models, decision and page.
        report: The page.
        metrics: What each rule measured, and whether the candidate may be promoted.
        ledger: Table on the shared disk; hold-out use is counted beside it, and decisions are kept there.
        champion: Bundle in production by its pair_id, or "none".
        gate_policy: Every limit of the gate, as JSON.
        data_version: DVC's hash of the cohort.
        config: The whole configuration, as JSON.
        code_version: Version of this code.
        tracking: Where MLflow is, as JSON.

    Returns:
        Whether the candidate may be promoted.
    """
    from integrations.steps import gate as steps

    return steps.judge(
        cohort=cohort.path,
        splits=splits.path,
        validated=validated.path,
        evaluated=evaluated.path,
        registration=registration.path,
        ledger=ledger,
        champion=champion,
        policy=gate_policy,
        output=decision.path,
        html=report.path,
        log_metric=metrics.log_metric,
        metrics=metrics.path,
        run={"data_version": data_version, "config": config, "code_version": code_version, "tracking": tracking},
    )
