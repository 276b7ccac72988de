"""Two bundles, a cohort and a policy -> a decision and its readable report, as files."""

from pathlib import Path

from pydantic import ValidationError

from covidctnet.errors import PromotionError
from covidctnet.predictor import Predictor
from covidctnet.progress import Progress, silent
from covidctnet.promotion.decide import decide
from covidctnet.promotion.decision import (
    CANDIDATE_FILE,
    CHAMPION_FILE,
    DECISION_FILE,
    PAGE_FILE,
    Decision,
    save_decision,
)
from covidctnet.promotion.holdout import Holdout
from covidctnet.promotion.holdout_use import record_use
from covidctnet.promotion.measure import Contestant, Load, answer_holdout, make_report
from covidctnet.promotion.page import write_page
from covidctnet.promotion.policy import Policy
from covidctnet.promotion.reports import Validation, read_object, save_report


def compare_models(
    candidate: Path,
    champion: Path | None,
    *,
    cohort: Path,
    ledger: Path,
    policy: Policy,
    uses: Path,
    why: str,
    output: Path,
    validation: Path | None = None,
    demographics: Path | None = None,
    load: Load = Predictor.load,
    on_progress: Progress = silent,
) -> Decision:
    """Evaluate both bundles on the same hold-out and decide.

    Args:
        candidate: bundle folder.
        champion: bundle folder of the model in production, None where there is none.
        cohort: folder of the cohort that holds the hold-out.
        ledger: `splits.csv`.
        policy: every limit.
        uses: record of hold-out use; this use is written there before any answer.
        why: reason of the comparison, for that record.
        output: folder that holds `candidate.json`, `champion.json`, `decision.json` and `decision.html` afterwards.
        validation: JSON verdict of the training data with `passed` and `failures`.
        demographics: see `Holdout.load`.
        load: opens a bundle for inference.
        on_progress: told of each finished case.

    Raises:
        CohortError: cohort and ledger contradict each other.
        BundleError: a folder holds no bundle at all. A damaged one is a refusal.
        PromotionError: the hold-out is empty, or a document is refused.
    """
    contestants = {"candidate": Contestant.open(candidate)}
    if champion is not None:
        contestants["champion"] = Contestant.open(champion)
    verdict = load_validation(validation, contestants["candidate"]) if validation else None
    holdout = Holdout.load(cohort, ledger, demographics)
    for name in (DECISION_FILE, PAGE_FILE, CANDIDATE_FILE, CHAMPION_FILE):
        (output / name).unlink(missing_ok=True)
    rival = contestants.get("champion")
    count = record_use(
        uses,
        holdout_version=holdout.version,
        candidate=contestants["candidate"].pair_id,
        champion=rival.pair_id if rival else None,
        why=why,
    )
    answers = answer_holdout(contestants, holdout, load=load, on_progress=on_progress)
    measured = holdout.metadata_auc()
    reports = {
        role: make_report(
            contestant,
            answers[role],
            holdout,
            count=count,
            validation=verdict if role == "candidate" else None,
            metadata_auc=_worst_metadata_auc(contestant, measured),
        )
        for role, contestant in contestants.items()
    }
    decision = decide(reports["candidate"], reports.get("champion"), policy)
    for role, report in reports.items():
        save_report(report, output / (CANDIDATE_FILE if role == "candidate" else CHAMPION_FILE))
    save_decision(decision, output / DECISION_FILE)
    write_page(decision, output / PAGE_FILE)
    return decision


def load_validation(path: Path, candidate: Contestant) -> Validation:
    """The verdict that the data validation wrote.

    Raises:
        PromotionError: it is missing, has no `passed`, or is about another data version than the candidate's.
    """
    values = read_object(path)
    about = values.get("data_version")
    if about is not None and candidate.bundle is not None and about != candidate.bundle.data_version:
        raise PromotionError(
            f"the validation is about data version {about}, but {candidate.bundle.data_version} trained the candidate"
        )
    try:
        return Validation(passed=values["passed"], failures=tuple(values.get("failures", ())))
    except (KeyError, ValidationError):
        raise PromotionError(f"{path.name} is no verdict: it must hold `passed`, true or false") from None


def _worst_metadata_auc(contestant: Contestant, measured: float | None) -> float | None:
    """The higher one of what the table tells here, and of what training measured with the acquisition's numbers."""
    metrics = (contestant.bundle.metrics if contestant.bundle else None) or {}
    recorded = metrics.get("baselines", {}).get("metadata", {}).get("macro_auc", {}).get("value")
    known = [float(value) for value in (measured, recorded) if value is not None]
    return max(known) if known else None
