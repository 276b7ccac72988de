"""The promotion log in a SQLite file: a line is a row that is put in once, in a transaction."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from covidctnet.errors import LogTamperedError, PromotionConflictError, PromotionError

_TABLE = "CREATE TABLE IF NOT EXISTS lines (number INTEGER PRIMARY KEY, line TEXT NOT NULL)"


class SqliteLines:
    """Numbered lines in a file on a local disk; several processes may write at once.

    Args:
        path: made where it does not exist.
        wait_seconds: how long to wait for another writer.
    """

    def __init__(self, path: Path, *, wait_seconds: float = 30.0) -> None:
        self._path, self._wait = path, wait_seconds

    def read(self) -> list[str]:
        """All lines in their order; none where there is no file.

        Raises:
            LogTamperedError: a number is missing among them.
            PromotionError: the file is no such database.
        """
        if not self._path.is_file():
            return []
        with self._connect() as database:
            rows: list[tuple[int, str]] = database.execute("SELECT number, line FROM lines ORDER BY number").fetchall()
        for expected, (number, _) in enumerate(rows):
            if number != expected:
                raise LogTamperedError(f"line {expected + 1} is missing in {self._path.name}")
        return [line for _, line in rows]

    def append(self, number: int, line: str) -> None:
        """Write a line if it is the next one.

        Raises:
            PromotionConflictError: that line is there already.
            LogTamperedError: a line before it is missing.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._connect() as database:
            database.execute("BEGIN IMMEDIATE")
            (count,) = database.execute("SELECT count(*) FROM lines").fetchone()
            if count > number:
                database.execute("ROLLBACK")
                raise PromotionConflictError(f"line {number + 1} is written already")
            if count < number:
                database.execute("ROLLBACK")
                raise LogTamperedError(f"{self._path.name} has {count} lines, so line {number + 1} cannot follow")
            database.execute("INSERT INTO lines (number, line) VALUES (?, ?)", (number, line))
            database.execute("COMMIT")

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path, timeout=self._wait, isolation_level=None)) as database:
                database.execute("PRAGMA synchronous = EXTRA")
                database.execute(_TABLE)
                yield database
        except sqlite3.Error as error:
            raise PromotionError(f"{self._path.name} cannot be used as a promotion log: {error}") from None
