"""The last step: may the candidate take the place of the champion? It decides, and moves nothing."""

import json
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from covidctnet.errors import PromotionError
from covidctnet.files import publish, read_json, write_json
from covidctnet.promotion.decision import DECISION_FILE, PAGE_FILE, Decision
from covidctnet.promotion.policy import Policy, parse_policy
from integrations.steps.cohorts import LEDGER, VERDICT, open_cohort
from integrations.steps.context import Step, open_step
from integrations.steps.results import REGISTRATION

NO_CHAMPION = "none"
"""Stands for the champion of a first model; a champion that is not named is an error, never a first model."""

_USES = "holdout-uses.jsonl"
_NO_NAME = re.compile(r"[^\w\-. /]", re.ASCII)


def judge(
    *,
    cohort: str,
    splits: str,
    validated: str,
    evaluated: str,
    registration: str,
    ledger: str,
    champion: str,
    policy: str,
    output: str,
    html: str,
    log_metric: Callable[[str, float], None],
    metrics: str,
    run: Mapping[str, str],
) -> bool:
    """Evaluate candidate and champion on the same hold-out through the Predictor, and decide by the policy.

    A refusal is a result like any other: the step ends well, and says why. Nothing waits for what it returns.

    Args:
        cohort: output of `fetch_dataset`.
        splits: output of `settle_splits`; the hold-out is that of this run.
        validated: output of `validate_scanner_metadata`; its verdict is one of the rules.
        evaluated: the candidate.
        registration: of the candidate; only what is registered can be promoted.
        ledger: path on the shared disk; the record of hold-out use lies beside it, and so does a copy of the decision.
        champion: `pair_id` of the model in production, or `NO_CHAMPION`.
        policy: every limit, as JSON.
        output: receives both reports, `decision.json` and `decision.html`. The reports hold pseudonyms and stay here.
        html: receives the page once more, for the interface of Kubeflow.
        log_metric: takes a name and a number.
        metrics: receives the same figures.
        run: see `RunContext`.

    Returns:
        Whether the candidate may be promoted.

    Raises:
        PromotionError: no champion is named, or the hold-out is empty.
        TrackingError: the champion is not in the registry, or MLflow does not answer.
    """
    with open_step("gate", run, last=True) as step:
        from covidctnet.promotion.compare import compare_models

        limits, folder = parse_policy(json.loads(policy)), Path(output)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            decision = compare_models(
                Path(evaluated),
                _fetch_champion(champion, Path(scratch), step),
                cohort=open_cohort(Path(cohort)).folder,
                ledger=Path(splits) / LEDGER,
                policy=limits,
                uses=Path(ledger).with_name(_USES),
                why=f"pipeline run {step.run.run_key}",
                output=folder,
                validation=Path(validated) / VERDICT,
                on_progress=step.on_progress,
            )
        figures = _figures(decision)
        step.tracker.log_params({"champion": champion, "policy": f"{limits.name} {limits.digest}"})
        step.tracker.log_metrics(figures)
        step.tracker.set_tags(_tags(decision, read_json(Path(registration) / REGISTRATION)["version"]))
        for name in (DECISION_FILE, PAGE_FILE):
            step.tracker.log_artifact(folder / name, "decision")
        for name, value in figures.items():
            log_metric(name, value)
        write_json(Path(metrics), figures)
        publish(folder / PAGE_FILE, Path(html))
        step.save_seconds(folder)
        publish(folder, decision_folder(ledger, step.run.run_key, champion, limits))
        return decision.promote


def decision_folder(ledger: str, run_key: str, champion: str, policy: Policy) -> Path:
    """Where the copy of a decision lies on the shared disk: one folder a run, champion and policy."""
    return Path(ledger).with_name("decisions") / f"{run_key}-{champion}-{policy.digest}"


def _fetch_champion(champion: str, scratch: Path, step: Step) -> Path | None:
    if champion == NO_CHAMPION:
        return None
    if not champion:
        raise PromotionError(
            f"no champion is named; give its pair_id, or {NO_CHAMPION!r} where nothing is in production"
        )
    from integrations.registry import fetch_pair
    from integrations.tracking import TrackingSettings

    return fetch_pair(champion, scratch / champion, settings=TrackingSettings(**step.run.tracking))


def _figures(decision: Decision) -> dict[str, float]:
    measured = {
        _NO_NAME.sub("_", rule.rule): rule.value for rule in decision.rules if not rule.group and rule.value is not None
    }
    against = sum(not rule.holds for rule in decision.rules)
    return {"promote": float(decision.promote), "rules_against": float(against), **measured}


def _tags(decision: Decision, version: int) -> dict[str, str]:
    return {
        "covidctnet.gate": "may be promoted" if decision.promote else "refused",
        "covidctnet.gate_reason": decision.reasons[0][:500],
        "covidctnet.decision": decision.digest,
        "covidctnet.candidate": decision.candidate,
        "covidctnet.candidate_version": str(version),
    }
