"""Values kept on disk by key, so that nothing costly is computed twice."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from memory_r1.errors import StoreError

_ASKED_AT_ONCE = 500


class KeptFile:
    """A SQLite file of values by key. Safe for many threads and processes.

    Args:
        path: The file; made, with its folder, if it is missing.
        table: What it is a cache of; names its table.
        columns: Their definitions, as SQL has them: first `key`, then the value.
        options: What stands behind the definitions.
        version: Changes when keys or values are written otherwise.

    Raises:
        StoreError: It cannot be opened, or is something else.
    """

    def __init__(self, path: str | Path, table: str, columns: str, *, options: str = "", version: int) -> None:
        self.path = Path(path).expanduser()
        self._table, self._version = table, version
        self._lock = threading.Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, timeout=60, check_same_thread=False, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"The cache {self.path} cannot be opened: {error}.", hint="Name another one.") from error
        try:
            self._prepare(f"CREATE TABLE IF NOT EXISTS {table} ({columns}) {options}")
        except BaseException:
            self._connection.close()
            raise

    def values(self, column: str, keys: Sequence[bytes]) -> dict[bytes, Any]:
        """A column by key, of the keys that are known.

        Raises:
            StoreError: The file cannot be read.
        """
        found: dict[bytes, Any] = {}
        with self._lock:
            for start in range(0, len(keys), _ASKED_AT_ONCE):
                part = keys[start : start + _ASKED_AT_ONCE]
                marks = ", ".join("?" * len(part))
                found.update(self._run(f"SELECT key, {column} FROM {self._table} WHERE key IN ({marks})", part))
        return found

    def keep(self, rows: Iterable[tuple[bytes, Any]]) -> None:
        """Keep keys with their values, in one transaction.

        Raises:
            StoreError: The disk is full, or the file cannot be written.
        """
        with self._lock:
            self._run("BEGIN IMMEDIATE")
            try:
                for row in rows:
                    self._run(f"INSERT OR REPLACE INTO {self._table} VALUES (?, ?)", row)
                self._run("COMMIT")
            except BaseException:
                self._connection.rollback()
                raise

    def __len__(self) -> int:
        with self._lock:
            return int(self._run(f"SELECT count(*) FROM {self._table}").fetchone()[0])

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        with self._lock:
            self._connection.close()

    def _prepare(self, create: str) -> None:
        execute, hint = self._connection.execute, "Delete the file, or name another one."
        try:
            (found,) = execute("PRAGMA user_version").fetchone()
            tables = {name for (name,) in execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if tables and (found != self._version or self._table not in tables):
                raise StoreError(f"{self.path} is no cache of {self._table} of this version.", hint=hint)
            execute("PRAGMA journal_mode = WAL")
            # a power cut may cost the last values; a killed process costs none
            execute("PRAGMA synchronous = NORMAL")
            execute(create)
            execute(f"PRAGMA user_version = {self._version}")
        except sqlite3.Error as error:
            raise StoreError(f"{self.path} is no cache of {self._table}: {error}.", hint=hint) from error

    def _run(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise StoreError(f"The cache {self.path} failed: {error}.", hint="Check the disk.") from error
