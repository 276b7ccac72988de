"""A decision as one HTML file without any external reference."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from covidctnet.predictor import DISCLAIMER
from covidctnet.promotion.decision import LACKING, Decision, RuleResult
from covidctnet.promotion.reports import write_text
from covidctnet.report.templates import load_template

_STYLES = {"passed": "passed", "failed": "failed", LACKING: "lacking"}
_WIDTH, _LABEL, _ROW = 800, 300, 24
"""Of the forest plot, in px: all, its names, and a line."""


@dataclass(frozen=True, kw_only=True)
class _Bar:
    title: str
    style: str
    y: float
    low: float
    value: float
    high: float
    margin: float


def write_page(decision: Decision, path: Path) -> None:
    """Write the page at once."""
    write_text(path, render_decision(decision))


def render_decision(decision: Decision) -> str:
    """The page as text."""
    return load_template("decision.html").render(
        title="Promotion decision",
        decision=decision,
        disclaimer=DISCLAIMER,
        rows=[_row(rule) for rule in decision.rules],
        notes=[f"{r.title}: {r.reason}" for r in decision.rules if r.verdict == LACKING and not r.required],
        forest=_forest([rule for rule in decision.rules if rule.rule.startswith("non-inferior")]),
        policy=yaml.safe_dump(_plain(asdict(decision.policy)), sort_keys=False),
    )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _row(rule: RuleResult) -> dict[str, Any]:
    return {
        "title": rule.title,
        "reason": rule.reason,
        "value": format_number(rule.value),
        "interval": "" if rule.low is None else f"{format_number(rule.low)} to {format_number(rule.high)}",
        "limit": "" if rule.limit is None else f"{format_number(rule.limit)} ({rule.tested})",
        "verdict": rule.verdict,
        "style": _STYLES[rule.verdict],
        "required": rule.required,
        "holds": rule.holds,
    }


def format_number(value: float | None) -> str:
    """Whole numbers as they are, others with three digits, nothing for None."""
    if value is None:
        return ""
    return f"{value:.0f}" if value == round(value) and abs(value) >= 1 else f"{value:.3f}"


def _forest(rules: Sequence[RuleResult]) -> dict[str, Any] | None:
    shown = [rule for rule in rules if rule.value is not None]
    if not shown:
        return None
    ends = [end for rule in shown for end in (rule.low, rule.high, rule.limit, 0.0) if end is not None]
    least, span = min(ends), max(max(ends) - min(ends), 1e-6)

    def place(value: float | None) -> float:
        return round(_LABEL + ((value or 0.0) - least) / span * (_WIDTH - _LABEL - 20) + 10, 1)

    bars = [
        _Bar(
            title=rule.title.removeprefix("non-inferior "),
            style=_STYLES[rule.verdict],
            y=number * _ROW + 14,
            low=place(rule.low),
            value=place(rule.value),
            high=place(rule.high),
            margin=place(rule.limit),
        )
        for number, rule in enumerate(shown)
    ]
    return {"bars": bars, "width": _WIDTH, "height": len(bars) * _ROW + 24, "zero": place(0.0)}
