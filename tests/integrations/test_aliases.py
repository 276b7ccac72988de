"""The promotion log on SQLite and on a real S3: one line once, whoever comes at the same time."""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from uuid import uuid4

import pytest

from covidctnet.bundle import load_bundle
from covidctnet.errors import ConfigError, LogTamperedError, PromotionConflictError, PromotionError, TrackingError
from covidctnet.promotion.aliases import Aliases
from covidctnet.promotion.log import LineStore, PromotionLog
from covidctnet.promotion.moves import rollback
from covidctnet.promotion.signing import make_keys
from infra.local.access import Access
from infra.local.seaweed import BUCKET, make_bucket, make_seaweed, s3_client
from integrations.aliases import PromotionSettings, open_lines, open_log
from integrations.aliases_mlflow import registered_aliases, resolve_bundle, sync_aliases
from integrations.registry import register_bundle
from integrations.tracking import TrackingSettings
from tests.covidctnet.promotion.test_log import SIGNER, move
from tests.covidctnet.promotion.test_moves import POLICY, write_decision
from tests.helpers.contest import write_model
from tests.helpers.movers import move_at_once, promote_at_once
from tests.helpers.promotion import MemoryLines, make_report


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Access]:
    """A SeaweedFS server, and its address and credentials in the environment as a user has them."""
    folder = tmp_path_factory.mktemp("s3")
    access = Access.in_folder(folder)
    server = make_seaweed(folder, access)
    server.start()
    try:
        make_bucket(access)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in access.s3_environment().items():
                patch.setenv(name, value)
            yield access
    finally:
        server.stop()


@pytest.fixture(params=["sqlite", pytest.param("s3", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """Gives an address of lines by a name."""
    if request.param == "sqlite":
        return lambda name: str(tmp_path / name / "lines.db")
    request.getfixturevalue("s3")
    key = uuid4().hex
    return lambda name: f"s3://{BUCKET}/{key}/{name}"


@pytest.fixture
def lines(place: Callable[[str], str]) -> LineStore:
    return open_lines(place("log"))


@pytest.fixture
def settings_of_log(place: Callable[[str], str], tmp_path: Path) -> PromotionSettings:
    make_keys(tmp_path / "key.pem")
    return PromotionSettings(log=place("log"), heads=place("heads"), key=str(tmp_path / "key.pem"))


def test_lines_are_written_once_and_in_order(lines: LineStore) -> None:
    assert lines.read() == []
    written = [f'{{"é {number}":1}}' for number in range(12)]
    for number, line in enumerate(written):
        lines.append(number, line)
    assert lines.read() == written
    for number in (0, 11):
        with pytest.raises(PromotionConflictError, match=f"line {number + 1} is written already"):
            lines.append(number, "other")
    with pytest.raises(LogTamperedError):
        lines.append(13, "too far")
    assert lines.read() == written


def test_two_processes_at_once_one_wins_and_one_is_told(settings_of_log: PromotionSettings) -> None:
    context, rounds = get_context("spawn"), 5
    barrier, results = context.Barrier(2), context.Queue()
    movers = [
        context.Process(target=move_at_once, args=(settings_of_log, rounds, barrier, results, name))
        for name in ("ada", "grace")
    ]
    for mover in movers:
        mover.start()
    found = [results.get(timeout=120) for _ in range(2 * rounds)]
    for mover in movers:
        mover.join(60)
    moves = open_log(settings_of_log, writable=False).read().moves
    assert len(moves) == rounds
    for number in range(rounds):
        outcomes = {name: message for seen, name, message in found if seen == number}
        (winner,) = [name for name, message in outcomes.items() if not message]
        (told,) = [message for message in outcomes.values() if message]
        assert moves[number].who == winner
        assert f"{winner} did promote {winner}-{number}" in told


def test_one_decision_in_two_processes_promotes_once(settings_of_log: PromotionSettings, tmp_path: Path) -> None:
    folder = write_decision(tmp_path / "decision", make_report("v1"), None)
    context = get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    movers = [
        context.Process(target=promote_at_once, args=(settings_of_log, folder, POLICY, barrier, results))
        for _ in range(2)
    ]
    for mover in movers:
        mover.start()
    found = sorted(results.get(timeout=120) for _ in movers)
    for mover in movers:
        mover.join(60)
    assert found[1] == "promoted"
    assert found[0] in {"PromotionConflictError", "PromotionRefusedError"}
    assert len(open_log(settings_of_log, writable=False).read().moves) == 1


def test_rows_taken_out_of_the_database_are_noticed(tmp_path: Path) -> None:
    store = open_lines(str(tmp_path / "lines.db"))
    for number in range(3):
        store.append(number, str(number))
    with sqlite3.connect(tmp_path / "lines.db") as database:
        database.execute("DELETE FROM lines WHERE number = 1")
    database.close()
    with pytest.raises(LogTamperedError, match="line 2 is missing"):
        store.read()
    (tmp_path / "other.db").write_bytes(b"no database at all, but long enough to be read as one" * 20)
    with pytest.raises(PromotionError, match=r"other\.db cannot be used"):
        open_lines(str(tmp_path / "other.db")).read()


@pytest.mark.slow
def test_objects_taken_out_of_the_bucket_are_noticed(s3: Access) -> None:
    prefix = uuid4().hex
    store = open_lines(f"s3://{BUCKET}/{prefix}")
    for number in range(3):
        store.append(number, str(number))
    s3_client(s3).delete_object(Bucket=BUCKET, Key=f"{prefix}/00000001.json")
    with pytest.raises(LogTamperedError, match="line 2 is missing"):
        store.read()
    s3_client(s3).put_object(Bucket=BUCKET, Key=f"{prefix}/00000001.json.bak", Body=b"")
    with pytest.raises(LogTamperedError):
        store.read()


@pytest.mark.slow
def test_a_try_that_the_service_had_taken_already_is_no_conflict(s3: Access) -> None:
    store = open_lines(f"s3://{BUCKET}/{uuid4().hex}")
    store.append(0, "line")
    store.append(0, "line")
    assert store.read() == ["line"]


@pytest.mark.slow
def test_a_bucket_that_is_not_there_is_said_in_one_line(s3: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PromotionError, match="refused to read the promotion log in bucket absent: NoSuchBucket"):
        open_lines("s3://absent/log").read()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(PromotionError, match="refused to") as caught:
        open_lines(f"s3://{BUCKET}/log").read()
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize("address", ["s3://bucket", "s3:///log", "s3://bucket/"])
def test_an_address_without_bucket_or_prefix_is_refused(address: str) -> None:
    with pytest.raises(PromotionError, match="s3://BUCKET/PREFIX"):
        open_lines(address)


def test_log_and_heads_in_one_place_are_refused(tmp_path: Path) -> None:
    for log, heads in (
        (str(tmp_path / "a.db"), str(tmp_path / "b.db")),
        ("s3://bucket/log", "s3://bucket/log/"),
    ):
        with pytest.raises(ConfigError, match="in one place"):
            PromotionSettings(log=log, heads=heads, key="key.pem")


@pytest.fixture
def registered(settings: TrackingSettings, tmp_path: Path) -> dict[str, str]:
    """Names by `pair_id` of three registered bundles."""
    pairs = {}
    for name in ("v1", "v2", "v3"):
        folder = write_model(tmp_path / name, weights=name.encode())
        register_bundle(folder, run_key=name, settings=settings)
        pairs[name] = resolve(f"models:/{settings.model}/{len(pairs) + 1}", settings, tmp_path)
    return pairs


def resolve(name: str, settings: TrackingSettings, folder: Path) -> str:
    return load_bundle(resolve_bundle(name, settings=settings, workspace=folder / "fetched")).pair_id


def test_the_registry_follows_the_log(settings: TrackingSettings, registered: dict[str, str], tmp_path: Path) -> None:
    log = PromotionLog(MemoryLines(), MemoryLines(), verifier=SIGNER.verifier, signer=SIGNER)
    first, second, third = registered.values()
    assert sync_aliases(log, settings) == Aliases() == registered_aliases(settings)
    move(log, "promote", first)
    move(log, "promote", second)
    move(log, "challenge", third)
    assert sync_aliases(log, settings) == Aliases(champion=second, challenger=third, previous=first)
    assert registered_aliases(settings) == log.read().aliases
    assert resolve(f"models:/{settings.model}@champion", settings, tmp_path) == second
    rollback(log, who="ada", why="alarm")
    sync_aliases(log, settings)
    assert asdict(registered_aliases(settings)) == {"champion": first, "challenger": third, "previous": None}
    move(log, "promote", "unknown")
    with pytest.raises(PromotionError, match="champion is bundle unknown, which is not registered"):
        sync_aliases(log, settings)
    assert registered_aliases(settings).champion == first


def test_whoever_moves_while_the_registry_is_set_is_followed(
    settings: TrackingSettings, registered: dict[str, str]
) -> None:
    first, second, _ = registered.values()
    log = PromotionLog(MemoryLines(), MemoryLines(), verifier=SIGNER.verifier, signer=SIGNER)
    move(log, "promote", first)

    class Overtaken(PromotionLog):
        reads = 0

        def read(self):  # type: ignore[no-untyped-def]
            found = super().read()
            Overtaken.reads += 1
            if Overtaken.reads == 1:
                move(log, "promote", second)
            return found

    busy = Overtaken(log._lines, log._heads, verifier=SIGNER.verifier)
    assert sync_aliases(busy, settings).champion == second
    assert registered_aliases(settings) == Aliases(champion=second, previous=first)


def test_a_name_of_the_registry_needs_a_registry(tmp_path: Path) -> None:
    assert resolve_bundle(str(tmp_path), settings=None, workspace=tmp_path) == tmp_path
    with pytest.raises(PromotionError, match="--tracking"):
        resolve_bundle("models:/covidctnet/1", settings=None, workspace=tmp_path)


def test_an_outage_after_the_move_leaves_the_log_right(settings: TrackingSettings, registered: dict[str, str]) -> None:
    first = registered["v1"]
    log = PromotionLog(MemoryLines(), MemoryLines(), verifier=SIGNER.verifier, signer=SIGNER)
    move(log, "promote", first)
    away = replace(settings, uri="http://127.0.0.1:9", retry_seconds=0.2)
    with pytest.raises(TrackingError):
        sync_aliases(log, away)
    assert log.read().aliases.champion == first
    assert sync_aliases(log, settings) == registered_aliases(settings)
