"""The promotion log: any edit, removal, reorder, insertion or cut is noticed; history answers for any moment."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from covidctnet.errors import LogTamperedError, PromotionConflictError, PromotionError
from covidctnet.promotion.aliases import Aliases, History
from covidctnet.promotion.chain import START, canonical, link
from covidctnet.promotion.log import PromotionLog
from covidctnet.promotion.signing import Signer, Verifier, make_keys, public_path
from tests.helpers.promotion import MemoryLines

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
STRANGER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
BEGIN = datetime(2026, 11, 1, 10, tzinfo=UTC)
DIGEST = "a" * 64


class Clock:
    """Each look is an hour later."""

    def __init__(self) -> None:
        self.now = BEGIN - timedelta(hours=1)

    def __call__(self) -> datetime:
        self.now += timedelta(hours=1)
        return self.now


def open_log(lines: MemoryLines, heads: MemoryLines, signer: Signer = SIGNER, **options: Any) -> PromotionLog:
    return PromotionLog(lines, heads, verifier=SIGNER.verifier, signer=signer, **options)


def move(log: PromotionLog, action: Any, model: str, seen: History | None = None) -> History:
    decision = None if action == "rollback" else DIGEST
    return log.append(
        seen or log.read(), action=action, model=model, who="ada", why="better", decision=decision, policy=None
    )


def five_moves() -> tuple[MemoryLines, MemoryLines]:
    lines, heads = MemoryLines(), MemoryLines()
    log = open_log(lines, heads, clock=Clock())
    for action, model in (
        ("promote", "v1"), ("challenge", "v2"), ("promote", "v2"), ("promote", "v3"), ("rollback", "v2"),
    ):  # fmt: skip
        move(log, action, model)
    return lines, heads


LINES, HEADS = five_moves()


def read(lines: list[str], heads: list[str] | None = None) -> History:
    return open_log(MemoryLines(lines), MemoryLines(HEADS.lines if heads is None else heads)).read()


def test_aliases_follow_the_moves() -> None:
    history = read(LINES.lines)
    assert [entry.action for entry in history.moves] == ["promote", "challenge", "promote", "promote", "rollback"]
    assert [entry.came_from for entry in history.moves] == [None, "v1", "v1", "v2", "v3"]
    assert history.aliases == Aliases(champion="v2", challenger=None, previous="v1")
    assert not history.interrupted


@pytest.mark.parametrize(
    ("hours", "champion", "challenger", "previous"),
    [
        (-0.1, None, None, None), (0, "v1", None, None), (0.9, "v1", None, None), (1, "v1", "v2", None),
        (2, "v2", None, "v1"), (3, "v3", None, "v2"), (3.99, "v3", None, "v2"),
        (4, "v2", None, "v1"), (1e4, "v2", None, "v1"),
    ],
)  # fmt: skip
def test_which_version_was_live_when(hours: float, champion: str, challenger: str, previous: str) -> None:
    found = read(LINES.lines).aliases_at(BEGIN + timedelta(hours=hours))
    assert found == Aliases(champion=champion, challenger=challenger, previous=previous)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_changed_character_is_noticed(data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(LINES.lines) - 1))
    line = LINES.lines[number]
    place = data.draw(st.integers(0, len(line) - 1))
    character = data.draw(st.characters(min_codepoint=32, max_codepoint=126).filter(lambda c: c != line[place]))
    changed = [*LINES.lines[:number], line[:place] + character + line[place + 1 :], *LINES.lines[number + 1 :]]
    with pytest.raises(LogTamperedError):
        read(changed)


FIELDS = {
    "at": "2026-11-01T09:00:00.000000+00:00", "who": "eve", "why": "worse", "action": "challenge", "model": "v9",
    "came_from": "v7", "decision": "b" * 64, "policy": "lax 1", "sequence": 7,
}  # fmt: skip


@settings(deadline=None)
@given(st.integers(0, 4), st.sampled_from(sorted(FIELDS)), st.booleans(), st.sampled_from([None, SIGNER, STRANGER]))
def test_any_changed_field_is_noticed_even_if_the_chain_is_made_anew(
    number: int, field: str, tail: bool, signer: Signer | None
) -> None:
    """With the whole chain made anew, and even with the right key, the heads in the second place tell."""
    records = [json.loads(line) for line in LINES.lines]
    before = records[number]["entry"][field]
    records[number]["entry"][field] = FIELDS[field]
    if before == FIELDS[field]:
        return
    previous = records[number]["previous"]
    for index in range(number, len(records) if tail else number + 1):
        signature = records[index]["signature"]
        record = link(records[index]["entry"], previous)
        records[index] = {**record, "signature": signer.sign(record["hash"]) if signer else signature}
        previous = records[index]["hash"]
    with pytest.raises(LogTamperedError):
        read([canonical(record) for record in records])


@settings(deadline=None)
@given(st.sets(st.integers(0, 4), min_size=1))
def test_any_removed_lines_are_noticed(removed: set[int]) -> None:
    with pytest.raises(LogTamperedError):
        read([line for number, line in enumerate(LINES.lines) if number not in removed])


@settings(deadline=None)
@given(st.permutations(range(5)).filter(lambda order: order != list(range(5))))
def test_any_other_order_is_noticed(order: list[int]) -> None:
    with pytest.raises(LogTamperedError):
        read([LINES.lines[number] for number in order])


@settings(deadline=None)
@given(st.integers(0, 4), st.integers(0, 5))
def test_a_line_put_in_again_is_noticed(which: int, place: int) -> None:
    with pytest.raises(LogTamperedError):
        read([*LINES.lines[:place], LINES.lines[which], *LINES.lines[place:]])


@pytest.mark.parametrize("kept", range(5))
def test_a_cut_is_noticed(kept: int) -> None:
    with pytest.raises(LogTamperedError, match=f"was cut off: it has {kept} lines, and 5 were signed"):
        read(LINES.lines[:kept])


@pytest.mark.parametrize("kept", range(4))
def test_cut_heads_are_noticed(kept: int) -> None:
    with pytest.raises(LogTamperedError, match="signed heads were cut off"):
        read(LINES.lines, HEADS.lines[:kept])


def test_a_changed_head_is_noticed() -> None:
    other = HEADS.lines[1].replace('"sequence":1', '"sequence":2')
    with pytest.raises(LogTamperedError, match="line 2"):
        read(LINES.lines, [HEADS.lines[0], other, *HEADS.lines[2:]])


def test_a_log_of_another_writer_is_noticed() -> None:
    lines, heads = MemoryLines(), MemoryLines()
    forged = PromotionLog(lines, heads, verifier=STRANGER.verifier, signer=STRANGER)
    move(forged, "promote", "evil")
    with pytest.raises(LogTamperedError, match="signature of line 1"):
        read(lines.lines, heads.lines)


def test_an_interrupted_move_counts_and_the_next_one_signs_its_head() -> None:
    lines, heads = MemoryLines(LINES.read()), MemoryLines(HEADS.lines[:4])
    log = open_log(lines, heads)
    assert log.read().interrupted
    assert log.read().aliases.champion == "v2"
    move(log, "promote", "v4")
    assert heads.lines[:5] == HEADS.lines
    assert len(heads.lines) == 6
    assert not log.read().interrupted


def test_of_two_moves_from_the_same_state_the_second_is_told() -> None:
    lines, heads = five_moves()
    log = open_log(lines, heads)
    seen = log.read()
    move(log, "promote", "v5", seen)
    with pytest.raises(PromotionConflictError, match=r"ada did promote v5 at 2026.* this one was not made"):
        move(log, "promote", "v6", seen)
    assert log.read().aliases.champion == "v5"
    assert len(lines.lines) == 6


def test_a_move_that_loses_the_line_at_the_last_moment_is_told() -> None:
    lines, heads = five_moves()
    log = open_log(lines, heads)
    seen = log.read()

    class LateLines(MemoryLines):
        def append(self, number: int, line: str) -> None:
            move(open_log(lines, heads), "promote", "first", seen)
            lines.append(number, line)

        def read(self) -> list[str]:
            return lines.read()

    with pytest.raises(PromotionConflictError, match="ada did promote first"):
        move(PromotionLog(LateLines(), heads, verifier=SIGNER.verifier, signer=SIGNER), "promote", "second", seen)


def test_a_log_that_was_cut_after_it_was_seen_takes_no_move() -> None:
    lines, heads = five_moves()
    log = open_log(lines, heads)
    seen = log.read()
    del lines.lines[-1]
    with pytest.raises(LogTamperedError, match="had 5, now 4"):
        move(log, "promote", "v5", seen)


def test_a_clock_that_is_behind_is_refused_and_small_skew_is_not() -> None:
    lines, heads = five_moves()
    last = BEGIN + timedelta(hours=4)
    with pytest.raises(PromotionError, match="set the clock"):
        move(open_log(lines, heads, clock=lambda: last - timedelta(minutes=6)), "promote", "v5")
    history = move(open_log(lines, heads, clock=lambda: last - timedelta(minutes=4)), "promote", "v5")
    assert history.moves[-1].at == last


@pytest.mark.parametrize(
    ("changes", "match"),
    [({"who": ""}, "who"), ({"why": "x" * 501}, "why"), ({"model": "a b"}, "model"), ({"decision": "no"}, "decision")],
)
def test_a_move_without_reason_person_or_model_is_refused(changes: dict[str, Any], match: str) -> None:
    values: dict[str, Any] = {
        "action": "promote", "model": "v5", "who": "ada", "why": "better", "decision": DIGEST, "policy": None,
    }  # fmt: skip
    lines, heads = five_moves()
    log = open_log(lines, heads)
    with pytest.raises(PromotionError, match=match):
        log.append(log.read(), **{**values, **changes})
    assert len(lines.lines) == 5


def test_a_rollback_to_what_was_not_live_is_refused() -> None:
    log = open_log(*five_moves())
    with pytest.raises(LogTamperedError, match="was not live before"):
        move(log, "rollback", "v3")


def test_reading_needs_the_public_key_only_and_writing_the_private_one(tmp_path: Path) -> None:
    public = make_keys(tmp_path / "key.pem")
    assert public == public_path(tmp_path / "key.pem")
    assert (tmp_path / "key.pem").stat().st_mode & 0o077 == 0
    lines, heads = MemoryLines(), MemoryLines()
    signer = Signer.load(tmp_path / "key.pem")
    move(PromotionLog(lines, heads, verifier=signer.verifier, signer=signer), "promote", "v1")
    reader = PromotionLog(lines, heads, verifier=Verifier.load(public))
    assert reader.read().aliases.champion == "v1"
    with pytest.raises(PromotionError, match="private key"):
        move(reader, "promote", "v2")
    with pytest.raises(PromotionError, match="there already"):
        make_keys(tmp_path / "key.pem")


def test_unsuitable_keys_are_refused(tmp_path: Path) -> None:
    make_keys(tmp_path / "key.pem")
    (tmp_path / "key.pem").chmod(0o644)
    with pytest.raises(PromotionError, match="open to everyone"):
        Signer.load(tmp_path / "key.pem")
    (tmp_path / "no.pem").write_text("no key")
    (tmp_path / "no.pem").chmod(0o600)
    with pytest.raises(PromotionError, match="no private key"):
        Signer.load(tmp_path / "no.pem")
    with pytest.raises(PromotionError, match="no public key"):
        Verifier.load(tmp_path / "no.pem")
    with pytest.raises(PromotionError, match="cannot be read"):
        Verifier.load(tmp_path / "absent.pem")


def test_a_signature_of_the_same_key_for_something_else_is_none_here() -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    import base64

    assert not SIGNER.verifier.accepts(START, base64.b64encode(key.sign(START.encode())).decode())
    assert SIGNER.verifier.accepts(START, SIGNER.sign(START))
    assert not SIGNER.verifier.accepts(START, "not base64!")
