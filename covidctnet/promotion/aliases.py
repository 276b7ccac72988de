"""Which model is `champion`, `challenger` and `previous`, as a function of the moves alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field
from pydantic.dataclasses import dataclass as checked_dataclass

from covidctnet.errors import LogTamperedError, PromotionError
from covidctnet.promotion.policy import STRICT

Action = Literal["challenge", "promote", "rollback"]
PairId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Words = Annotated[str, Field(min_length=1, max_length=500)]


@dataclass(frozen=True, kw_only=True)
class Aliases:
    """Bundles by alias, as `pair_id`; None where there is none."""

    champion: str | None = None
    challenger: str | None = None
    previous: str | None = None


@checked_dataclass(frozen=True, kw_only=True, config=STRICT)
class Move:
    """One line of the promotion log.

    Attributes:
        sequence: 0 for the first move.
        at: when, never before an earlier move.
        who, why: in words.
        action: what was done.
        model: `pair_id` of the bundle that the action is about.
        came_from: of the champion before, None where there was none.
        decision: digest of the decision; None for a rollback, which needs none.
        policy: name and digest of the policy that decided.
    """

    sequence: Annotated[int, Field(ge=0)]
    at: AwareDatetime
    who: Words
    why: Words
    action: Action
    model: PairId
    came_from: PairId | None
    decision: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None
    policy: str | None


@dataclass(frozen=True, kw_only=True)
class History:
    """All moves, checked.

    Attributes:
        moves: in their order.
        interrupted: whether the last move's signed head is not in its second place yet; the next move puts it there.
    """

    moves: tuple[Move, ...] = ()
    interrupted: bool = False

    @property
    def aliases(self) -> Aliases:
        """Where the aliases are now."""
        return replay(self.moves)

    def aliases_at(self, time: datetime) -> Aliases:
        """Where the aliases were at a time with a time zone."""
        return replay([move for move in self.moves if move.at <= time])


def replay(moves: Sequence[Move]) -> Aliases:
    """Follow the moves: a promotion puts a model on top of those that were live, a rollback takes the top away.

    Raises:
        LogTamperedError: a move does not start from where the moves before it ended.
    """
    live: list[str] = []
    challenger: str | None = None
    for earlier, move in zip((None, *moves), moves, strict=False):
        if earlier is not None and move.at < earlier.at:
            raise LogTamperedError(f"move {move.sequence} is dated before the move in front of it")
        champion = live[-1] if live else None
        if move.came_from != champion:
            raise LogTamperedError(
                f"move {move.sequence} starts from champion {move.came_from}, but {champion} was live then"
            )
        if move.action == "challenge":
            challenger = move.model
        elif move.action == "promote":
            live.append(move.model)
            challenger = None if challenger == move.model else challenger
        else:
            if len(live) < 2 or live[-2] != move.model:
                raise LogTamperedError(f"move {move.sequence} goes back to {move.model}, which was not live before")
            live.pop()
    return Aliases(
        champion=live[-1] if live else None, challenger=challenger, previous=live[-2] if len(live) > 1 else None
    )


def parse_time(text: str) -> datetime:
    """A time with its zone, as ISO 8601 writes it: `2026-11-01T10:00Z`.

    Raises:
        PromotionError: it is no such time, or has no zone.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise PromotionError(f"{text!r} is no time; write it as 2026-11-01T10:00Z") from None
    if time.tzinfo is None:
        raise PromotionError(f"{text!r} has no time zone; write it as 2026-11-01T10:00Z or 2026-11-01T10:00+01:00")
    return time
