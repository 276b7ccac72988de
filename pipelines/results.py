"""Put a run's results where a person looks for them: linked from the run's outputs, each whole or as before."""

from pathlib import Path
from typing import Any

from covidctnet.files import publish, read_json, write_json
from covidctnet.promotion.decision import DECISION_FILE, load_decision
from pipelines.local_run import LocalResult


def publish_results(result: LocalResult, workspace: Path) -> dict[str, Any]:
    """Put `bundle/`, `figures/`, `decision/`, `report.html` and, last, `summary.json` into a workspace.

    Returns:
        The content of `summary.json`: the hold-out's figures, versions, the registered model, seconds by step and
        in total, the steps that were reused, and what the gate says.
    """
    record = result.record
    publish(result.bundle, workspace / "bundle")
    publish(result.results / "figures", workspace / "figures")
    publish(result.decision, workspace / "decision")
    decision = load_decision(result.decision / DECISION_FILE)
    publish(result.results / "report.html", workspace / "report.html")
    summary: dict[str, Any] = {
        **read_json(result.results / "summary.json"),
        "seconds": {**record.seconds_by_step, "total": record.seconds},
        "reused": [step.step for step in record.steps if step.state == "reused"],
        "attempts": record.attempts,
        "run_key": record.run_key,
        "gate": {
            "promote": decision.promote,
            "policy": decision.policy.name,
            "champion": decision.champion,
            "reasons": list(decision.reasons),
        },
        "registered": read_json(result.registration / "registration.json"),
    }
    write_json(workspace / "summary.json", summary)
    return summary
