"""Connections to one file: a guarded writer, a pool of readers, and SQLite's errors in our words."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memory_r1.bank.sqlite.schema import check_ours, migrate
from memory_r1.errors import InvalidInputError, StoreError

MEMORY = ":memory:"
_CACHED_STATEMENTS = 256
_PAGE_CACHE_KIB = 16_384
_RETRY_SECONDS = 0.02

# Connections a forked child inherits. Closing one there would drop the parent's locks, so they are kept and never used.
_inherited: list[sqlite3.Connection] = []


@contextmanager
def translated(location: str) -> Iterator[None]:
    """Turn SQLite's errors into ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise _store_error(error, location) from error
    except UnicodeEncodeError as error:
        raise InvalidInputError("A text holds a lone surrogate.", hint="Use well-formed Unicode.") from error


def _store_error(error: sqlite3.Error, location: str) -> StoreError:
    name = getattr(error, "sqlite_errorname", None) or ""
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreError(f"{location} stayed locked.", hint="Another process is writing for long; try again.")
    if name == "SQLITE_FULL" or "disk is full" in str(error):
        return StoreError(f"The disk is full, {location} was not changed.", hint="Free some space and try again.")
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return StoreError(
            f"{location} cannot be opened for writing ({error}).",
            hint="Check that file and folder exist and are writable, or name another file.",
        )
    if name.startswith("SQLITE_NOTADB"):
        return _not_sqlite(location)
    if name.startswith("SQLITE_CORRUPT"):
        return StoreError(f"{location} is damaged ({error}).", hint="Restore a backup or import an export.")
    return StoreError(f"{location} failed: {error} ({name or type(error).__name__}).", hint="Check disk and file.")


class Connections:
    """All connections of one store. Opening creates or migrates the file.

    Args:
        path: The file, or `:memory:`.
        durable: Whether a commit waits until the disk has it.
        busy_timeout_s: How long to wait for another process, in seconds.

    Raises:
        StoreError: The file is foreign, damaged or not writable.
    """

    def __init__(self, path: str, *, durable: bool, busy_timeout_s: float) -> None:
        self.location = path
        self._durable = durable
        self._timeout = busy_timeout_s
        self._private = path == MEMORY
        self._closed = False
        self._begin_process()
        with self.write_access():
            pass

    def _begin_process(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._writer: sqlite3.Connection | None = None
        self._readers: list[sqlite3.Connection] = []

    def _check_usable(self) -> None:
        if self._pid != os.getpid():
            if self._private:
                raise StoreError("An in-memory store stays in its process.", hint="Use a file to share memories.")
            _inherited.extend(self._readers)
            if self._writer is not None:
                _inherited.append(self._writer)
            self._begin_process()
        if self._closed:
            raise StoreError(f"The store {self.location} is closed.", hint="Open a new one.")

    @contextmanager
    def write_access(self) -> Iterator[sqlite3.Connection]:
        """The writer, for this thread alone."""
        self._check_usable()
        with self._lock, translated(self.location):
            if self._writer is None:
                self._writer = self._open_writer()
            yield self._writer

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: all of it on success, nothing of it on any error."""
        with self.write_access() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def read_access(self) -> Iterator[sqlite3.Connection]:
        """A connection to read with, for this thread alone until given back."""
        self._check_usable()
        if self._private:
            with self.write_access() as connection:
                yield connection
            return
        readers = self._readers
        with translated(self.location):
            try:
                connection = readers.pop()
            except IndexError:
                connection = self._open()
            try:
                yield connection
            finally:
                if self._closed:
                    connection.close()
                else:
                    readers.append(connection)

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Like `read_access`, but all reads inside see one state of the file."""
        with self.read_access() as connection:
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close everything; a second call does nothing."""
        if self._closed or self._pid != os.getpid():
            self._closed = True
            return
        with self._lock:
            self._closed = True
            while self._readers:
                self._readers.pop().close()
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.location,
            timeout=self._timeout,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_CACHED_STATEMENTS,
        )
        try:
            connection.execute(f"PRAGMA cache_size = -{_PAGE_CACHE_KIB}")
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.create_function("casefold", 1, _casefold, deterministic=True)
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_writer(self) -> sqlite3.Connection:
        if not self._private:
            _check_file(self.location)
        deadline = time.monotonic() + self._timeout
        while True:
            connection = self._open()
            try:
                self._prepare(connection)
            except sqlite3.OperationalError as error:
                connection.close()
                # Two processes that switch a new file to WAL at once: SQLite does not wait here, so we do.
                name = error.sqlite_errorname or ""
                if not name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")) or time.monotonic() > deadline:
                    raise
                time.sleep(_RETRY_SECONDS)
            except BaseException:
                connection.close()
                raise
            else:
                return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        check_ours(connection, self.location)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        connection.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'NORMAL'}")
        # Overwrite what is deleted, always: `erase` must not find old copies in free space.
        connection.execute("PRAGMA secure_delete = ON")
        migrate(connection, self.location)
        # A file that nobody may write to opens, and fails only here.
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")


def _casefold(text: str | None) -> str | None:
    return None if text is None else text.casefold()


def _check_file(path: str) -> None:
    """Refuse a file that is foreign or was cut off: SQLite may take a tiny one for empty, and misses a lost tail."""
    file, wal = Path(path), Path(path + "-wal")
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            header = stream.read(100)
        unfinished = wal.exists() and wal.stat().st_size > 0
    except OSError:
        # SQLite says better what is wrong with it.
        return
    if size and (len(header) < 100 or not header.startswith(b"SQLite format 3\0")):
        raise _not_sqlite(path)
    page_size = int.from_bytes(header[16:18], "big")
    pages = int.from_bytes(header[28:32], "big")
    if not unfinished and size < pages * (65536 if page_size == 1 else page_size):
        raise StoreError(f"{path} is cut off.", hint="Restore a backup or import an export.")


def _not_sqlite(location: str) -> StoreError:
    return StoreError(f"{location} is not an SQLite database.", hint="Name another file; it was left untouched.")
