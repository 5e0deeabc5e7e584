"""Connections to one file: a guarded writer, a pool of readers, and SQLite's errors in our words."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from memory_r1.bank.sqlite.schema import check_ours, migrate
from memory_r1.errors import InvalidInputError, StoreError

MEMORY = ":memory:"
_CACHED_STATEMENTS = 256
_PAGE_CACHE_KIB = 16_384
_RETRY_SECONDS = 0.02
_FORK_PATIENCE = 5.0

# What a forked child inherits after all. To close it there would harm the parent, so it is kept, unused.
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
    except OverflowError as error:
        raise InvalidInputError("A number does not fit 64 bits.", hint="Use a smaller one.") from error


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
        return StoreError(f"{location} is damaged or cut off ({error}).", hint="Restore a backup or import an export.")
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
        self._private = path == MEMORY
        # The working folder may change between two connections.
        self._path = path if self._private else os.path.abspath(path)
        self._durable = durable
        self._timeout = busy_timeout_s
        self._closed = False
        self._begin_process()
        with self.write_access():
            pass
        _open_stores.add(self)

    def _begin_process(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._forking = False
        self._writer: sqlite3.Connection | None = None
        self._readers: list[sqlite3.Connection] = []
        self._idle: list[sqlite3.Connection] = []
        self._busy: list[None] = []

    def _check_usable(self) -> None:
        if self._pid != os.getpid():
            if self._private:
                raise StoreError("An in-memory store stays in its process.", hint="Use a file to share memories.")
            self.begin_child()
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
        idle, busy = self._idle, self._busy
        # said before looking, so that a fork either waits for this read, its opening included, or holds it off
        busy.append(None)
        if self._forking:
            busy.pop()
            with self._lock:
                busy.append(None)
        try:
            with translated(self.location):
                try:
                    connection = idle.pop()
                except IndexError:
                    connection = self._open()
                    self._readers.append(connection)
                try:
                    yield connection
                finally:
                    idle.append(connection)
                    if self._closed:
                        self._close_idle()
        finally:
            busy.pop()

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
            self._close_idle()
            self._close_writer()

    def pause(self) -> None:
        """Before a fork: close what is open and hold others off.

        SQLite keeps its table of file locks per process. A child would inherit the table without the locks, and might
        lose writes; so no connection may be open at that moment. Reads in flight are waited for.
        """
        if self._private or self._closed or self._pid != os.getpid() or not self._lock.acquire(timeout=_FORK_PATIENCE):
            return
        self._forking = True
        if self._writer is not None and self._writer.in_transaction:
            return
        deadline = time.monotonic() + _FORK_PATIENCE
        while self._busy and time.monotonic() < deadline:
            time.sleep(0.001)
        self._close_idle()
        self._close_writer()

    def resume(self) -> None:
        """After a fork, in the parent."""
        if self._forking:
            self._forking = False
            self._lock.release()

    def begin_child(self) -> None:
        """After a fork, in the child."""
        if self._private:
            return
        _inherited.extend(self._readers)
        if self._writer is not None:
            _inherited.append(self._writer)
        self._begin_process()

    def _close_idle(self) -> None:
        while self._idle:
            connection = self._idle.pop()
            self._readers.remove(connection)
            connection.close()

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path,
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
        # SQLite takes a file of one byte for an empty one. (Never open the file beside SQLite: closing it would drop
        # the locks that this process holds on it.)
        if not self._private and os.path.exists(self._path) and os.path.getsize(self._path) == 1:
            raise _not_sqlite(self.location)
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


def _not_sqlite(location: str) -> StoreError:
    return StoreError(f"{location} is not an SQLite database.", hint="Name another file; it was left untouched.")


_open_stores: weakref.WeakSet[Connections] = weakref.WeakSet()


def _before_fork() -> None:
    for connections in list(_open_stores):
        connections.pause()


def _after_fork_in_parent() -> None:
    for connections in list(_open_stores):
        connections.resume()


def _after_fork_in_child() -> None:
    for connections in list(_open_stores):
        connections.begin_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
