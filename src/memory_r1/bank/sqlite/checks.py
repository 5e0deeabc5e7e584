"""What the log writer refuses."""

from __future__ import annotations

import sqlite3

from memory_r1.bank.memory import MemoryRecord
from memory_r1.bank.operation import Change, Operation, OperationKind
from memory_r1.bank.sqlite.projection import plain
from memory_r1.bank.store import EmbedderIdentity
from memory_r1.bank.text import check_text
from memory_r1.errors import ConflictError, EmbedderMismatchError, InvalidInputError


def settle_identity(
    connection: sqlite3.Connection, stored: EmbedderIdentity | None, wanted: EmbedderIdentity | None, dimension: int
) -> EmbedderIdentity:
    """Agree on whose vectors the file holds; without any, the caller decides.

    Raises:
        EmbedderMismatchError: It holds vectors of another embedder.
    """
    if stored is not None and wanted in (None, stored):
        return stored
    if stored is not None and connection.execute("SELECT 1 FROM vectors LIMIT 1").fetchone() is not None:
        assert wanted is not None
        raise EmbedderMismatchError(
            f"The store's vectors come from {stored.name} ({stored.dimension} numbers), not from"
            f" {wanted.name} ({wanted.dimension}).",
            hint="Use that embedder, or run `memory-r1 reembed`.",
        )
    identity = wanted or EmbedderIdentity("unnamed", dimension)
    connection.execute("UPDATE meta SET embedder = ?, dimension = ?", (identity.name, identity.dimension))
    return identity


def resulting_state(change: Change) -> MemoryRecord:
    """The state that a change asks to leave behind.

    Raises:
        InvalidInputError: There is none, or it cannot be stored as it is.
    """
    after = change.after
    if after is None:
        raise InvalidInputError(f"{change.kind} without the state to leave behind.")
    if after.scope != change.scope or (change.memory_id is not None and after.id != change.memory_id):
        raise InvalidInputError(f"{change.kind}: the state to leave behind is of another memory or scope.")
    if change.kind in (OperationKind.ADD, OperationKind.UPDATE) and not after.live:
        raise InvalidInputError(f"{change.kind} leaves a retired memory behind.", hint="Clear `invalidated_at`.")
    check_text(after.id, what="The memory's id")
    check_text(after.text)
    return plain(after)


def check_current(change: Change, record: MemoryRecord) -> None:
    """Check that a memory to be changed is live and of the version that the caller saw.

    Raises:
        ConflictError: It is not.
    """
    if not record.live:
        raise ConflictError(f"{change.kind} of {record.id}: it is already deleted.", hint="Read the bank again.")
    if change.expected_version is not None and change.expected_version != record.version:
        raise ConflictError(
            f"{change.kind} of {record.id}: it has version {record.version}, not {change.expected_version}.",
            hint="Read the memory again and decide anew.",
        )


def misfit(operation: Operation, why: str) -> ConflictError:
    """The error for an imported operation that the bank cannot take."""
    return ConflictError(
        f"Operation {operation.id} ({operation.kind}) does not fit: {why}.",
        hint="The bank has a history of its own; import into another scope or an empty store.",
    )
