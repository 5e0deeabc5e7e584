"""The store on one SQLite file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from memory_r1.bank.memory import MemoryRecord
from memory_r1.bank.operation import Change, Operation, OperationKind
from memory_r1.bank.scope import Scope
from memory_r1.bank.sqlite import erasing, reader
from memory_r1.bank.sqlite.banks import BankDirectory
from memory_r1.bank.sqlite.checks import settle_identity
from memory_r1.bank.sqlite.connection import Connections
from memory_r1.bank.sqlite.search import TextSearch
from memory_r1.bank.sqlite.writer import LogWriter
from memory_r1.bank.store import EmbedderIdentity, IndexBatch, TextMatch
from memory_r1.errors import ConflictError, InvalidInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memory_r1.bank.filters import Filter


class SqliteStore:
    """A `Store` on one SQLite file in WAL mode, or in memory.

    Threads share one writer and a pool of readers; processes take turns on SQLite's lock. After a fork the child opens
    its own connections.

    Args:
        path: The file, made if it is missing (its folder must exist), or `:memory:`.
        durable: Whether a commit returns only when the disk has it (`synchronous=FULL`). Without it a power cut can
            lose the last commits, a crash of the process cannot.
        busy_timeout_s: How long to wait for another process's write, in seconds.

    Raises:
        StoreError: The file is foreign, damaged or cannot be written.

    Example:
        >>> from datetime import UTC
        >>> now, scope = datetime.now(UTC), Scope("ann")
        >>> store = SqliteStore(":memory:")
        >>> tea = MemoryRecord("m1", scope, "Ann likes tea", now, now)
        >>> [operation.kind.value for operation in store.commit([Change(OperationKind.ADD, scope, after=tea)])]
        ['ADD']
        >>> [record.text for record in store.memories(scope)]
        ['Ann likes tea']
        >>> store.close()
    """

    def __init__(self, path: str | Path, *, durable: bool = True, busy_timeout_s: float = 60) -> None:
        self._timeout = busy_timeout_s
        self._connections = Connections(str(path), durable=durable, busy_timeout_s=busy_timeout_s)
        self._banks = BankDirectory()
        self._search = TextSearch()
        self._identity: EmbedderIdentity | None = None

    @property
    def location(self) -> str:
        """The path."""
        return self._connections.location

    def embedder(self) -> EmbedderIdentity | None:
        """The embedder of the stored vectors; None while no vector has been stored."""
        with self._connections.read_access() as connection:
            row = connection.execute(
                "SELECT embedder, dimension FROM meta WHERE EXISTS (SELECT 1 FROM vectors)"
            ).fetchone()
        return None if row is None else EmbedderIdentity(*row)

    def bind_embedder(self, identity: EmbedderIdentity) -> None:
        """Declare which embedder the caller's vectors come from.

        Raises:
            EmbedderMismatchError: The store holds vectors of another one.
        """
        with self._connections.read_access() as connection:
            row = connection.execute("SELECT embedder, dimension FROM meta").fetchone()
        if row != (identity.name, identity.dimension):
            with self._connections.transaction() as connection:
                row = connection.execute("SELECT embedder, dimension FROM meta").fetchone()
                stored = None if row[0] is None else EmbedderIdentity(*row)
                settle_identity(connection, stored, identity, identity.dimension)
        self._identity = identity

    def reembed(self, identity: EmbedderIdentity, vectors: Iterable[tuple[int, NDArray[np.float32]]]) -> int:
        """Replace all vectors, given as (key, vector), in one transaction; return how many.

        Raises:
            ConflictError: A memory has no new vector.
            InvalidInputError: A vector has another length than the identity says.
        """

        def rows() -> Iterator[tuple[bytes, int]]:
            for key, vector in vectors:
                if np.shape(vector) != (identity.dimension,):
                    raise InvalidInputError(f"A vector has shape {np.shape(vector)}, not ({identity.dimension},).")
                waiting.discard(int(key))
                yield np.ascontiguousarray(vector, dtype="<f4").tobytes(), int(key)

        with self._connections.transaction() as connection:
            waiting = {row[0] for row in connection.execute("SELECT memory FROM vectors")}
            total = len(waiting)
            connection.executemany("UPDATE vectors SET vector = ? WHERE memory = ?", rows())
            if waiting:
                raise ConflictError(
                    f"{len(waiting)} memories have no new vector; nothing was changed.",
                    hint="The bank grew meanwhile: run it again.",
                )
            connection.execute(
                "UPDATE meta SET embedder = ?, dimension = ?, seq = seq + 1, rebuilt = seq + 1",
                (identity.name, identity.dimension),
            )
        self._identity = identity
        return total

    def texts(self) -> Iterator[tuple[int, str]]:
        """(key, text) of every memory that has a vector, in key order."""
        last, rows = -1, [(0, "")]
        while rows:
            with self._connections.read_access() as connection:
                rows = connection.execute(
                    "SELECT v.memory, m.text FROM vectors v CROSS JOIN memories m ON m.key = v.memory"
                    " WHERE v.memory > ? ORDER BY v.memory LIMIT 1000",
                    (last,),
                ).fetchall()
            yield from rows
            last = rows[-1][0] if rows else last

    def commit(self, changes: Sequence[Change]) -> list[Operation]:
        """Write operations and their effect on the projection in one durable transaction.

        A DELETE without a state to leave behind retires the memory as it stands. An UNDO is refused unless the memory
        is in the very state that the undone operation left.

        Raises:
            ConflictError: A change does not fit the state it meets; nothing is written.
            InvalidInputError: A change is not well formed; nothing is written.
        """
        if not changes:
            return []
        with self._connections.transaction() as connection:
            writer = LogWriter(connection, self._identity)
            operations = writer.write_all(changes)
            writer.finish()
        return operations

    def head(self) -> int:
        """`seq` of the newest operation, 0 for an empty log."""
        with self._connections.read_access() as connection:
            return reader.head(connection)

    def get(self, memory_id: str) -> MemoryRecord | None:
        """A memory by id, retired ones included, or None."""
        with self._connections.read_access() as connection:
            return reader.record_by_id(connection, self._banks, memory_id)

    def fetch(self, keys: Sequence[int]) -> dict[int, MemoryRecord]:
        """Memories by key, in the order asked for, retired ones included; unknown keys are left out."""
        with self._connections.read_access() as connection:
            return reader.records_by_key(connection, self._banks, keys)

    def memories(
        self,
        scope: Scope,
        *,
        where: Filter | None = None,
        limit: int | None = None,
        offset: int = 0,
        retired: bool = False,
    ) -> list[MemoryRecord]:
        """Live memories (with `retired`, the retired ones too) of a scope, oldest first."""
        with self._connections.snapshot() as connection:
            return reader.records(connection, self._banks, scope, where, limit, offset, retired)

    def keys(self, scope: Scope, where: Filter) -> NDArray[np.int64]:
        """Sorted keys of the live memories of a scope that a filter accepts."""
        with self._connections.read_access() as connection:
            return reader.keys(connection, scope, where)

    def count(self, scope: Scope | None = None) -> int:
        """How many live memories a scope has, or the whole store."""
        with self._connections.read_access() as connection:
            return reader.count(connection, scope)

    def scopes(self) -> list[Scope]:
        """Every bank that has at least one operation."""
        with self._connections.read_access() as connection:
            return reader.scopes(connection)

    def operations(
        self,
        scope: Scope | None = None,
        *,
        memory_id: str | None = None,
        after: int = 0,
        until: datetime | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> list[Operation]:
        """Operations in log order, with `seq > after` and `at <= until`."""
        with self._connections.snapshot() as connection:
            return reader.operations(
                connection,
                self._banks,
                scope,
                memory_id=memory_id,
                after=after,
                until=until,
                limit=limit,
                newest_first=newest_first,
            )

    def operation(self, operation_id: str) -> Operation | None:
        """An operation by id, or None."""
        with self._connections.read_access() as connection:
            return reader.operation_by_id(connection, self._banks, operation_id)

    def index_batch(self, scope: Scope, after: int) -> IndexBatch:
        """What changed among the live memories of a scope since log position `after` (0: everything)."""
        with self._connections.snapshot() as connection:
            return reader.index_batch(connection, scope, after)

    def vectors(self, keys: Sequence[int]) -> dict[int, NDArray[np.float32]]:
        """Vectors of memories by key, each of shape (dimension,); keys without one are left out."""
        with self._connections.read_access() as connection:
            return reader.vectors_by_key(connection, keys)

    def match(
        self,
        scope: Scope,
        terms: Sequence[str],
        limit: int,
        *,
        columns: Literal["text", "context", "both"] = "both",
        among: NDArray[np.int64] | None = None,
    ) -> list[TextMatch]:
        """Full-text search for any of the terms (plain words) among live memories, best first; see `Store.match`.

        The first 64 terms count. In large banks the commonest are left out; see `memory_r1.bank.sqlite.search`.
        """
        with self._connections.snapshot() as connection:
            return self._search.match(connection, scope, terms, limit, columns, among)

    def erase(self, memory_ids: Sequence[str]) -> list[Operation]:
        """Really delete memories, from the log and from the bytes of the file.

        An id that is erased already is passed over. Memories that the manager merged others into are memories of their
        own: erase them by their ids. The whole full-text index is rewritten, so erase many at once.

        Raises:
            NotFoundError: An id is unknown; nothing is erased.
            StoreError: The deletion is done, but the write-ahead log still holds copies; the hint says what to do.
        """
        if not memory_ids:
            return []
        with self._connections.transaction() as connection:
            writer = LogWriter(connection, self._identity)
            operations = [writer.erase(memory_id) for memory_id in erasing.scrub(connection, memory_ids)]
            writer.finish()
            erasing.merge_fulltext(connection)
        self._empty_log()
        return operations

    def restore(self, operations: Sequence[Operation], vectors: Sequence[NDArray[np.float32] | None]) -> int:
        """Append exported operations verbatim (ids, times, decisions) under new `seq` numbers; return how many.

        Operations already in the log are passed over; an ERASE among the new ones erases here too.

        Raises:
            ConflictError: An operation does not fit the state it meets; nothing is written.
        """
        erased = False
        with self._connections.transaction() as connection:
            writer = LogWriter(connection, self._identity)
            total = 0
            for operation, vector in zip(operations, vectors, strict=True):
                written = writer.replay(operation, vector)
                total += written
                erased |= written and operation.kind is OperationKind.ERASE
            writer.finish()
            if erased:
                erasing.merge_fulltext(connection)
        if erased:
            self._empty_log()
        return total

    def reset(self) -> None:
        """Delete everything, log included."""
        with self._connections.transaction() as connection:
            for table in ("operations", "memories", "attributes", "vectors", "banks"):
                connection.execute(f"DELETE FROM {table}")
            # The view behind the index is empty now, so this leaves it empty.
            connection.execute("INSERT INTO fulltext (fulltext) VALUES ('rebuild')")
            connection.execute(
                "UPDATE meta SET seq = seq + 1, rebuilt = seq + 1, at = 0, embedder = NULL, dimension = NULL"
            )
        self._search.forget()
        self._empty_log()

    def close(self) -> None:
        """Release the file; a second call does nothing."""
        self._connections.close()

    def _empty_log(self) -> None:
        with self._connections.write_access() as connection:
            erasing.empty_write_ahead_log(connection, self.location, self._timeout)
