"""Moves of the aliases. A promotion needs a decision that says so, about the model that is champion now."""

from pathlib import Path

from covidctnet.errors import PromotionError, PromotionRefusedError
from covidctnet.promotion.aliases import History
from covidctnet.promotion.decide import decide
from covidctnet.promotion.decision import (
    CANDIDATE_FILE,
    CHAMPION_FILE,
    DECISION_FILE,
    Decision,
    decisions_agree,
    load_decision,
)
from covidctnet.promotion.log import PromotionLog
from covidctnet.promotion.policy import Policy
from covidctnet.promotion.reports import load_report


def check_decision(folder: Path) -> Decision:
    """Read a decision and decide again from the reports beside it: a file that was changed says something else.

    Raises:
        PromotionRefusedError: there is no decision, or the reports lead to another one.
    """
    try:
        decision = load_decision(folder / DECISION_FILE)
        candidate = load_report(folder / CANDIDATE_FILE)
        champion = load_report(folder / CHAMPION_FILE) if decision.champion is not None else None
    except PromotionError as error:
        raise PromotionRefusedError(f"no decision, no promotion: {error}") from None
    if not decisions_agree(decide(candidate, champion, decision.policy), decision):
        raise PromotionRefusedError(
            "the reports beside the decision lead to another one: a file was changed, or they were made by another "
            "release; run `covidctnet model compare` again"
        )
    return decision


def challenge(log: PromotionLog, folder: Path, *, policy: Policy, who: str, why: str) -> History:
    """Set `challenger` to the candidate of a decision that promotes; arguments and errors as for `promote`."""
    seen = log.read()
    decision = _require(folder, seen, policy)
    return _append(log, seen, "challenge", decision, who, why)


def promote(log: PromotionLog, folder: Path, *, policy: Policy, who: str, why: str) -> History:
    """Make the candidate of a decision the champion; the champion becomes `previous`.

    Args:
        log: of all moves.
        folder: what `covidctnet model compare` wrote.
        policy: what must have decided.
        who: promotes.
        why: in words.

    Raises:
        PromotionRefusedError: no decision, a refusal, one by another policy, one about another champion, or one
            that was used before.
        PromotionConflictError: another move was made at the same time.
        LogTamperedError: the log does not pass its checks.
    """
    seen = log.read()
    decision = _require(folder, seen, policy)
    if any(move.action == "promote" and move.decision == decision.digest for move in seen.moves):
        raise PromotionRefusedError(
            f"this decision promoted {decision.candidate} before; compare again, so that a model that was rolled back "
            "returns on new evidence only"
        )
    return _append(log, seen, "promote", decision, who, why)


def rollback(log: PromotionLog, *, who: str, why: str) -> History:
    """Make the model that was live before the champion again. It needs a reason and no decision.

    Raises:
        PromotionRefusedError: no other model was live before.
        PromotionConflictError: another move was made at the same time.
        LogTamperedError: the log does not pass its checks.
    """
    seen = log.read()
    back_to = seen.aliases.previous
    if back_to is None:
        raise PromotionRefusedError(f"there is nothing to roll back to: champion is {seen.aliases.champion}")
    return log.append(seen, action="rollback", model=back_to, who=who, why=why, decision=None, policy=None)


def _require(folder: Path, seen: History, policy: Policy) -> Decision:
    decision = check_decision(folder)
    if not decision.promote:
        raise PromotionRefusedError(f"the gate refused {decision.candidate}: {decision.reasons[0]}")
    if decision.policy.digest != policy.digest:
        raise PromotionRefusedError(
            f"the decision was made by policy {decision.policy.name} ({decision.policy.digest}), not by "
            f"{policy.name} ({policy.digest}); compare again with the policy in force"
        )
    champion = seen.aliases.champion
    if decision.candidate == champion:
        raise PromotionRefusedError(f"{decision.candidate} is champion already")
    if decision.champion != champion:
        raise PromotionRefusedError(
            f"the decision compares with champion {decision.champion}, but {champion} is champion now; compare again"
        )
    return decision


def _append(log: PromotionLog, seen: History, action: str, decision: Decision, who: str, why: str) -> History:
    return log.append(
        seen,
        action="promote" if action == "promote" else "challenge",
        model=decision.candidate,
        who=who,
        why=why,
        decision=decision.digest,
        policy=f"{decision.policy.name} {decision.policy.digest}",
    )
