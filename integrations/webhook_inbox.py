"""Deliveries that were taken, in a SQLite file: none is taken twice, and none is lost by a restart."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

_TABLE = """CREATE TABLE IF NOT EXISTS deliveries (
  number INTEGER PRIMARY KEY AUTOINCREMENT, identifier TEXT NOT NULL UNIQUE, version TEXT NOT NULL,
  taken REAL NOT NULL, outcome TEXT NOT NULL DEFAULT '')"""


class Inbox:
    """Deliveries by their identifier.

    Args:
        path: of the file, for its owner alone.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        with self._lock, closing(self._connect()) as database:
            database.execute(_TABLE)

    def put(self, identifier: str, version: str, now: float) -> bool:
        """Keep a delivery; False where it is there already."""
        with self._lock, closing(self._connect()) as database:
            done = database.execute(
                "INSERT OR IGNORE INTO deliveries (identifier, version, taken) VALUES (?, ?, ?)",
                (identifier, version, now),
            )
            return done.rowcount == 1

    def newest(self) -> tuple[int, str] | None:
        """Number and version of the newest delivery that waits."""
        with self._lock, closing(self._connect()) as database:
            row = database.execute(
                "SELECT number, version FROM deliveries WHERE outcome = '' ORDER BY number DESC LIMIT 1"
            ).fetchone()
        return (int(row[0]), str(row[1])) if row else None

    def finish(self, number: int, outcome: str, *, overtakes: bool = True) -> None:
        """Say what became of a delivery, and whether it overtakes older ones that wait."""
        with self._lock, closing(self._connect()) as database:
            database.execute("UPDATE deliveries SET outcome = ? WHERE number = ?", (outcome, number))
            if overtakes:
                database.execute(
                    "UPDATE deliveries SET outcome = 'overtaken' WHERE outcome = '' AND number < ?", (number,)
                )

    def outcomes(self) -> list[tuple[str, str]]:
        """Version and outcome of each delivery, oldest first; the outcome of one that waits is empty."""
        with self._lock, closing(self._connect()) as database:
            rows = database.execute("SELECT version, outcome FROM deliveries ORDER BY number").fetchall()
        return [(str(version), str(outcome)) for version, outcome in rows]

    def forget(self, before: float) -> None:
        """Forget finished deliveries that were taken before a time."""
        with self._lock, closing(self._connect()) as database:
            database.execute("DELETE FROM deliveries WHERE outcome <> '' AND taken < ?", (before,))

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=30.0, isolation_level=None)
        database.execute("PRAGMA synchronous = FULL")
        return database
