"""How often a hold-out was looked at: each look teaches a little about it, until a good result may be luck."""

import fcntl
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from covidctnet.promotion.chain import START, canonical, link, read_chain

_LOG = "record of hold-out use"


@dataclass(frozen=True, kw_only=True)
class HoldoutUse:
    """One evaluation.

    Attributes:
        holdout_version: which cases.
        candidate, champion: `pair_id` of the bundles; champion is None for a first model.
        at: when, ISO 8601 with zone.
        why: in words.
    """

    holdout_version: str
    candidate: str
    champion: str | None
    at: str
    why: str


@dataclass(frozen=True, kw_only=True)
class UseCount:
    """Evaluations of one hold-out version, and the different candidates among them."""

    uses: int
    candidates: int


def read_uses(path: Path) -> list[HoldoutUse]:
    """All uses in their order; none where there is no file.

    Raises:
        LogTamperedError: a line was edited, removed or moved.
    """
    if not path.is_file():
        return []
    return [HoldoutUse(**record["entry"]) for record in _records(path.read_text("utf-8"))]


def record_use(path: Path, *, holdout_version: str, candidate: str, champion: str | None, why: str) -> UseCount:
    """Write down a use before it happens, so that one that was broken off counts too.

    Args:
        path: the record, to which lines are only added.
        holdout_version: which cases are looked at.
        candidate: `pair_id`.
        champion: `pair_id`, None for a first model.
        why: in words.

    Returns:
        The count of this version, this use among them.

    Raises:
        LogTamperedError: the record does not pass its check.
    """
    use = HoldoutUse(
        holdout_version=holdout_version,
        candidate=candidate,
        champion=champion,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        why=why,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        records = _records(file.read())
        previous = records[-1]["hash"] if records else START
        file.write(canonical(link(asdict(use), previous)) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return count_uses([*(HoldoutUse(**record["entry"]) for record in records), use], holdout_version)


def count_uses(uses: Sequence[HoldoutUse], holdout_version: str) -> UseCount:
    """Count the uses of one version."""
    own = [use for use in uses if use.holdout_version == holdout_version]
    return UseCount(uses=len(own), candidates=len({use.candidate for use in own}))


def _records(text: str) -> list[dict[str, Any]]:
    return read_chain(text.splitlines(), _LOG)
