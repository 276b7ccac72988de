"""The promotion log: signed lines in a hash chain, and the signed head of each in a second place.

A line can be written once, and only after the line before it. The same rule that makes the log tamper-evident is
therefore the compare-and-swap of the aliases: of two moves at once, one gets the line.

| change | noticed by |
|---|---|
| a line edited | its hash, and the head in the second place |
| a line removed, moved or put in | the chain |
| the last lines cut off | heads without a line |
| the log written anew by someone without the key | the signatures |
| lines and heads cut off alike | not noticed: keep the second place where the first one's writers cannot delete |
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from covidctnet.errors import LogTamperedError, PromotionConflictError, PromotionError
from covidctnet.promotion.aliases import Action, History, Move, replay
from covidctnet.promotion.chain import START, canonical, link, read_chain
from covidctnet.promotion.reports import parse_document
from covidctnet.promotion.signing import Signer, Verifier

_MOST_SKEW = timedelta(minutes=5)
"""How far a writer's clock may be behind the last line before its move is refused."""


class LineStore(Protocol):
    """Numbered lines that are written once and never changed."""

    def read(self) -> list[str]:
        """All lines in their order.

        Raises:
            LogTamperedError: a number is missing among them.
        """

    def append(self, number: int, line: str) -> None:
        """Write line `number`, counted from 0, if it is the next one.

        Raises:
            PromotionConflictError: that line is there already.
        """


def _now() -> datetime:
    return datetime.now(UTC)


class PromotionLog:
    """Reads and checks the moves, and adds one.

    Args:
        lines: where the log is.
        heads: a second place, out of reach of whoever can change the first.
        verifier: checks signatures.
        signer: needed to add a move only.
        clock: gives the time, in UTC.
    """

    def __init__(
        self,
        lines: LineStore,
        heads: LineStore,
        *,
        verifier: Verifier,
        signer: Signer | None = None,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._lines, self._heads = lines, heads
        self._verifier, self._signer, self._clock = verifier, signer, clock

    def lines(self) -> list[str]:
        """The log as JSON lines."""
        return self._lines.read()

    def read(self) -> History:
        """All moves, after every check.

        Raises:
            LogTamperedError: a line or a head was edited, removed, moved, put in or cut off.
        """
        # Heads first: a move that is added meanwhile then looks interrupted, and never cut off.
        heads = self._heads.read()
        records = read_chain(self._lines.read(), "promotion log")
        moves = tuple(self._check_line(number, record) for number, record in enumerate(records))
        replay(moves)
        if len(heads) > len(records):
            raise LogTamperedError(
                f"the promotion log was cut off: it has {len(records)} lines, and {len(heads)} were signed"
            )
        for number, (head, record) in enumerate(zip(heads, records, strict=False)):
            if head != canonical(_head_of(number, record)):
                raise LogTamperedError(
                    f"line {number + 1} of the promotion log is not the one whose head was signed in the second place"
                )
        if len(heads) < len(records) - 1:
            raise LogTamperedError(
                f"signed heads were cut off: {len(heads)} are in the second place, for {len(records)} lines"
            )
        return History(moves=moves, interrupted=len(heads) < len(records))

    def _check_line(self, number: int, record: dict[str, Any]) -> Move:
        if set(record) != {"entry", "previous", "hash", "signature"}:
            raise LogTamperedError(f"line {number + 1} of the promotion log has other fields than a move")
        if not self._verifier.accepts(record["hash"], str(record["signature"])):
            raise LogTamperedError(f"the signature of line {number + 1} of the promotion log does not fit")
        try:
            move = parse_document(Move, record["entry"], "move")
        except PromotionError as error:
            raise LogTamperedError(f"line {number + 1} of the promotion log: {error}") from None
        if move.sequence != number:
            raise LogTamperedError(f"line {number + 1} of the promotion log says that it is line {move.sequence + 1}")
        return move

    def append(
        self,
        seen: History,
        *,
        action: Action,
        model: str,
        who: str,
        why: str,
        decision: str | None,
        policy: str | None,
    ) -> History:
        """Add a move after the ones that were seen.

        Args:
            seen: what the move is based on.
            action: what is done.
            model: `pair_id` of the bundle that it is about.
            who: does it.
            why: in words.
            decision: its digest, None for a rollback.
            policy: its name and digest, None for a rollback.

        Returns:
            The history with the move.

        Raises:
            PromotionConflictError: another move was added meanwhile; nothing was done.
            PromotionError: there is no private key, a field is refused, or the clock is behind.
        """
        if self._signer is None:
            raise PromotionError("a move must be signed; name the private key")
        records = read_chain(self._lines.read(), "promotion log")
        if len(records) > len(seen.moves):
            raise self._conflict(records[len(seen.moves)])
        if len(records) < len(seen.moves):
            raise LogTamperedError(f"the promotion log lost lines: it had {len(seen.moves)}, now {len(records)}")
        self._repair_head(records)
        move = parse_document(
            Move,
            {
                "sequence": len(seen.moves),
                "at": self._time(seen),
                "who": who,
                "why": why,
                "action": action,
                "model": model,
                "came_from": seen.aliases.champion,
                "decision": decision,
                "policy": policy,
            },
            "move",
        )
        moves = (*seen.moves, move)
        replay(moves)
        record = link(
            {**asdict(move), "at": move.at.isoformat(timespec="microseconds")},
            records[-1]["hash"] if records else START,
        )
        record["signature"] = self._signer.sign(record["hash"])
        try:
            self._lines.append(move.sequence, canonical(record))
        except PromotionConflictError:
            raise self._conflict(json.loads(self._lines.read()[move.sequence])) from None
        self._put_head(move.sequence, record)
        return History(moves=moves)

    def _time(self, seen: History) -> datetime:
        now = self._clock().astimezone(UTC)
        last = seen.moves[-1].at if seen.moves else now
        if now < last - _MOST_SKEW:
            raise PromotionError(
                f"this clock says {now:%Y-%m-%d %H:%M:%S} UTC, but the last move was made at "
                f"{last:%Y-%m-%d %H:%M:%S} UTC; set the clock"
            )
        return max(now, last)

    def _repair_head(self, records: list[dict[str, Any]]) -> None:
        if records:
            self._put_head(len(records) - 1, records[-1])

    def _put_head(self, number: int, record: dict[str, Any]) -> None:
        try:
            self._heads.append(number, canonical(_head_of(number, record)))
        except PromotionConflictError:
            # Whoever came first put the same one there, which `read` checks.
            return

    @staticmethod
    def _conflict(record: dict[str, Any]) -> PromotionConflictError:
        other = record["entry"]
        return PromotionConflictError(
            f"another move was made meanwhile: {other['who']} did {other['action']} {other['model']} at {other['at']}; "
            "this one was not made. Look at `covidctnet model show`, and compare with the champion of now"
        )


def _head_of(number: int, record: dict[str, Any]) -> dict[str, Any]:
    return {"sequence": number, "hash": record["hash"], "signature": record["signature"]}
