"""The CLAIM checklist (Mongan et al. 2020), filled with what the run knows; what a person must add is marked."""

import string
from collections.abc import Mapping
from importlib import resources
from typing import Literal

import yaml
from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from covidctnet.report.document import Grid

Status = Literal["filled by the run", "a person must add", "not run"]

NOT_RUN = "Not run:"
"""A fact that begins so is one that another experiment would have given."""


@dataclass(frozen=True, kw_only=True)
class ClaimItem:
    """One item of the checklist.

    Attributes:
        number: 1 to 42.
        section: of a manuscript.
        topic: what to report, in our words.
        run: what the run says, with names of facts in braces; empty where it knows nothing.
        person: what only a person knows; empty where nothing is open.
    """

    number: int
    section: str
    topic: str
    run: str = ""
    person: str = ""

    @property
    def facts(self) -> list[str]:
        """Names of the facts that `run` needs."""
        return [name for _, name, _, _ in string.Formatter().parse(self.run) if name]


@dataclass(frozen=True, kw_only=True)
class FilledItem:
    """An item with its text and what is open."""

    item: ClaimItem
    text: str
    status: tuple[Status, ...]


def load_claim() -> tuple[ClaimItem, ...]:
    """The 42 items, in their order."""
    text = resources.files("covidctnet.report").joinpath("claim.yaml").read_text("utf-8")
    return tuple(TypeAdapter(list[ClaimItem]).validate_python(yaml.safe_load(text)))


def fill_claim(facts: Mapping[str, str]) -> list[FilledItem]:
    """Fill every item.

    Args:
        facts: by name; one that begins with `NOT_RUN` leaves its item open.

    Raises:
        KeyError: a fact is missing.
    """
    filled = []
    for item in load_claim():
        known = {name: facts[name] for name in item.facts}
        lacking = [text for text in known.values() if text.startswith(NOT_RUN)]
        status: list[Status] = []
        if item.run and len(lacking) < max(1, len(known)):
            status.append("filled by the run")
        if lacking:
            status.append("not run")
        if item.person:
            status.append("a person must add")
        filled.append(FilledItem(item=item, text=item.run.format(**known), status=tuple(status)))
    return filled


def claim_grid(filled: list[FilledItem]) -> Grid:
    """The checklist as a table."""
    return Grid(
        title="CLAIM, 42 items",
        columns=("item", "topic", "what the run says", "a person must add", "status"),
        rows=tuple(
            (
                str(one.item.number),
                f"{one.item.section}: {one.item.topic}",
                one.text,
                f"TO ADD: {one.item.person}" if one.item.person else "",
                ", ".join(one.status),
            )
            for one in filled
        ),
        note="Mongan J, Moy L, Kahn CE. Radiology: Artificial Intelligence 2020;2(2):e200029. Topics in our words.",
    )


def count_open(filled: list[FilledItem]) -> dict[str, int]:
    """How many items are in each state: wholly filled, open for a person, or for an experiment that was not run."""
    return {
        "filled": sum(one.status == ("filled by the run",) for one in filled),
        "person": sum("a person must add" in one.status for one in filled),
        "not run": sum("not run" in one.status for one in filled),
    }
