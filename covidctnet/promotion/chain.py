"""A hash chain over JSON lines: each line holds the hash of the one before, so that no line changes unnoticed."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from covidctnet.errors import LogTamperedError

START = "0" * 64
"""Stands for the hash of the line before the first."""


def canonical(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def link(entry: Mapping[str, Any], previous: str) -> dict[str, Any]:
    """An entry with the hash of the line before, and the hash of both."""
    linked = {"entry": dict(entry), "previous": previous}
    return {**linked, "hash": hashlib.sha256(canonical(linked).encode()).hexdigest()}


def read_chain(lines: Sequence[str], what: str) -> list[dict[str, Any]]:
    """Parse lines and check that each follows from the one before.

    Args:
        lines: in the order in which they were written.
        what: the log's name, for messages.

    Raises:
        LogTamperedError: names the first line that is damaged, edited, missing or out of order.
    """
    found: list[dict[str, Any]] = []
    previous = START
    for number, line in enumerate(lines):
        try:
            record = json.loads(line)
            said = record["hash"]
            expected = link(record["entry"], record["previous"])
        except (ValueError, KeyError, TypeError):
            raise LogTamperedError(f"line {number + 1} of the {what} is damaged") from None
        if record["previous"] != previous:
            raise LogTamperedError(
                f"line {number + 1} of the {what} does not follow from the line before: a line was edited, removed "
                "or moved"
            )
        # The text itself is compared: two JSON texts of one value would hide a rewritten line.
        if said != expected["hash"] or canonical(record) != line:
            raise LogTamperedError(f"line {number + 1} of the {what} was edited after it was written")
        previous = record["hash"]
        found.append(record)
    return found
