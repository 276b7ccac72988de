"""A decision: every rule with value, limit and verdict. Promotion follows from the rules and from nothing else."""

import hashlib
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pydantic.dataclasses import dataclass

from covidctnet.errors import PromotionError
from covidctnet.promotion.policy import STRICT, Policy
from covidctnet.promotion.reports import parse_document, read_object, write_text

Verdict = Literal["passed", "failed", "not enough evidence"]
LACKING: Verdict = "not enough evidence"

CANDIDATE_FILE, CHAMPION_FILE = "candidate.json", "champion.json"
DECISION_FILE, PAGE_FILE = "decision.json", "decision.html"
"""Names of the files that a comparison leaves."""

ABSOLUTE_RULES = (
    "candidate report",
    "candidate integrity",
    "validation",
    "candidate training patients",
    "metadata-only AUC",
    "hold-out use",
    "patients",
    "unanswered",
    "sensitivity",
    "specificity",
    "Brier score",
)
"""Every decision holds these rules, whether there is a champion or not."""

PAIRED_RULES = ("champion integrity", "champion training patients", "same hold-out")
"""And these where there is one, with a rule a margin of the policy."""

_WORDING = {"reason", "detail"}
_DERIVED = ("promote", "first_model", "reasons", "digest")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RuleResult:
    """One rule.

    Attributes:
        rule: its name.
        group: which part of the hold-out, as `brand GE`; empty for all of it.
        verdict: only "passed" speaks for the candidate.
        required: whether the candidate needs this rule passed; a rule that failed refuses it in any case.
        value: what was found; None where there is nothing to measure.
        low, high: its interval.
        limit: what `tested` is compared with.
        tested: which number is compared, and how, in words.
        reason: the rule in a sentence.
    """

    rule: str
    group: str = ""
    verdict: Verdict
    required: bool = True
    value: float | None = None
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    tested: str = ""
    reason: str

    @property
    def title(self) -> str:
        """Rule and group."""
        return f"{self.rule}, {self.group}" if self.group else self.rule

    @property
    def holds(self) -> bool:
        """Whether the rule does not stand against the candidate."""
        return self.verdict == "passed" or (self.verdict == LACKING and not self.required)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Comparison:
    """A test that is reported beside the rules and decides nothing.

    Attributes:
        test: its name, and what it compares.
        candidate, champion: the values that are compared.
        p_value: two-sided; None where the test gives none.
        detail: in words.
    """

    test: str
    candidate: float
    champion: float
    p_value: float | None
    detail: str


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Decision:
    """Whether the candidate may replace the champion.

    Attributes:
        format: of this document.
        candidate: its `pair_id`; empty where there was no report.
        champion: its `pair_id`; None for the first model.
        candidate_data, champion_data: data versions.
        policy: all limits.
        holdout_version, holdout_uses, holdout_candidates: as in the candidate's report.
        patients, cases: of the hold-out.
        rules: in the order in which they are read.
        beside: tests that decide nothing.
    """

    format: Literal[1] = 1
    candidate: str
    champion: str | None
    candidate_data: str
    champion_data: str | None
    policy: Policy
    holdout_version: str
    holdout_uses: int
    holdout_candidates: int
    patients: int
    cases: int
    rules: tuple[RuleResult, ...]
    beside: tuple[Comparison, ...]

    @property
    def expected(self) -> tuple[str, ...]:
        """Names of the rules without which there is no promotion."""
        if self.champion is None:
            return ABSOLUTE_RULES
        margins = tuple(f"non-inferior {metric}" for metric in self.policy.non_inferiority.margins)
        return (*ABSOLUTE_RULES, *PAIRED_RULES, *margins)

    @property
    def promote(self) -> bool:
        """True only where every expected rule is there and passed, and none stands against the candidate."""
        passed = {rule.rule for rule in self.rules if not rule.group and rule.verdict == "passed"}
        return bool(self.candidate) and passed.issuperset(self.expected) and all(rule.holds for rule in self.rules)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why not, one sentence a rule; where nothing stands against it, what the decision rests on."""
        against = tuple(f"{rule.title}: {rule.reason}" for rule in self.rules if not rule.holds)
        named = {rule.rule for rule in self.rules if not rule.group}
        against += tuple(f"{name}: the rule is missing" for name in self.expected if name not in named)
        if against:
            return against
        if self.champion is None:
            return ("first model: there is no champion to compare with, so only the absolute rules were applied",)
        return (f"all {len(self.rules)} rules hold against champion {self.champion}",)

    @property
    def digest(self) -> str:
        """Hash of everything that the decision says."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with what follows from the rules."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        derived = {
            "promote": self.promote,
            "first_model": self.champion is None,
            "reasons": list(self.reasons),
            "digest": self.digest,
        }
        return {**derived, **plain}


def decisions_agree(first: Decision, second: Decision) -> bool:
    """Whether two decisions say the same: all verdicts, and all numbers to nine digits; wording does not count."""
    return _agree(asdict(first), asdict(second))


def _agree(first: Any, second: Any) -> bool:
    if isinstance(first, dict) and isinstance(second, dict):
        names = first.keys() - _WORDING
        return first.keys() == second.keys() and all(_agree(first[name], second[name]) for name in names)
    if isinstance(first, tuple | list) and isinstance(second, tuple | list):
        return len(first) == len(second) and all(map(_agree, first, second))
    if isinstance(first, float) and isinstance(second, float):
        return math.isclose(first, second, rel_tol=1e-9, abs_tol=1e-9)
    return bool(first == second)


def save_decision(decision: Decision, path: Path) -> None:
    """Write a decision at once."""
    write_text(path, json.dumps(decision.to_dict(), indent=2))


def load_decision(path: Path) -> Decision:
    """Read a decision; what follows from its rules is worked out again.

    Raises:
        PromotionError: it is missing, damaged, or says something else than its rules do.
    """
    values = read_object(path)
    derived = {name: values.pop(name, None) for name in _DERIVED}
    decision = parse_document(Decision, values, "decision")
    found = decision.to_dict()
    wrong = [name for name in _DERIVED if derived[name] != found[name]]
    if wrong:
        raise PromotionError(
            f"the decision's {', '.join(wrong)} does not follow from its rules: it was changed after it was made; "
            "run `covidctnet model compare` again"
        )
    return decision
