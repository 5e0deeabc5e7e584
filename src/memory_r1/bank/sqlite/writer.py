"""Appends operations to the log and keeps the projection in step, inside one write transaction."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from memory_r1.bank.codec import dumps, encode_decision, encode_record
from memory_r1.bank.memory import MemoryRecord
from memory_r1.bank.operation import Change, Operation, OperationKind
from memory_r1.bank.scope import Scope
from memory_r1.bank.sqlite.banks import Bank, BankDirectory
from memory_r1.bank.sqlite.checks import check_current, misfit, resulting_state, settle_identity
from memory_r1.bank.sqlite.erasing import scrub
from memory_r1.bank.sqlite.projection import Projection, Standing, plain
from memory_r1.bank.sqlite.rows import OPERATION_COLUMNS, OPERATION_TABLES, from_micros, to_micros, to_operation
from memory_r1.bank.sqlite.schema import BANK_SHIFT
from memory_r1.bank.store import EmbedderIdentity
from memory_r1.errors import ConflictError, InvalidInputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_INSERT_OPERATION = f"INSERT INTO operations VALUES ({', '.join('?' * 13)})"


class LogWriter:
    """Writes changes one after another, each seeing the ones before. `finish` must be called before the commit.

    Args:
        connection: In a write transaction.
        identity: Where the caller's vectors come from, as far as it said.
    """

    def __init__(self, connection: sqlite3.Connection, identity: EmbedderIdentity | None) -> None:
        self._connection = connection
        self._identity = identity
        self._projection = Projection(connection)
        self._banks: dict[Scope, Bank] = {}
        self._rows: list[tuple[Any, ...]] = []
        self._written: dict[tuple[int, str], Operation] = {}
        self._keys: dict[str, int] = {}
        row = connection.execute("SELECT seq, at, bank, embedder, dimension FROM meta").fetchone()
        self._seq, latest, self._last_bank, *stored = row
        self._now = max(time.time_ns() // 1000, latest)
        self._at = from_micros(self._now)
        self._stored = None if stored[0] is None else EmbedderIdentity(*stored)
        self._vectors_checked = False

    def write_all(self, changes: Sequence[Change]) -> list[Operation]:
        """Turn changes into operations; what has an idempotency key that the bank knows is the operation of then.

        Raises:
            ConflictError: One does not fit the state it meets.
            InvalidInputError: One is not well formed.
        """
        named = [change.memory_id for change in changes if change.memory_id and change.kind is not OperationKind.ADD]
        if len(set(named)) == len(named):
            self._projection.prefetch(named)
        return [self._write(change) for change in changes]

    def _write(self, change: Change) -> Operation:
        bank = self._bank(change.scope)
        if change.idempotency_key is not None:
            seen = self._seen(bank, change.idempotency_key)
            if seen is not None:
                return seen
        if change.kind is OperationKind.ADD:
            return self._add(bank, change)
        memory_id = change.memory_id
        standing = None if memory_id is None else self._projection.standing(memory_id, bank)
        if change.kind is OperationKind.UNDO:
            return self._undo(bank, change, standing)
        if change.kind is OperationKind.ERASE:
            raise InvalidInputError("ERASE is not a change.", hint="Call `erase`.")
        if standing is None:
            if change.kind is OperationKind.NOOP and memory_id is None:
                return self._log(bank, change, None, None, None)
            raise ConflictError(
                f"{change.kind} of {memory_id!r}: this bank has no such memory.", hint="Read the bank again."
            )
        if change.kind is OperationKind.NOOP:
            return self._log(bank, change, standing.key, standing, standing.record)
        check_current(change, standing.record)
        if change.kind is OperationKind.DELETE:
            return self._apply(bank, change, standing, self._retired(change, standing.record))
        after = resulting_state(change)
        self._check_text_is_free(bank, after)
        return self._apply(bank, change, standing, after)

    def replay(self, operation: Operation, vector: NDArray[np.float32] | None) -> bool:
        """Append an operation as it was written elsewhere; False if the log has it already.

        Raises:
            ConflictError: It does not fit the state it meets.
        """
        if self._has(operation.id):
            return False
        bank = self._bank(operation.scope)
        if operation.idempotency_key is not None and self._seen(bank, operation.idempotency_key) is not None:
            raise misfit(operation, f"the idempotency key {operation.idempotency_key!r} is taken")
        memory_id, after = operation.memory_id, operation.after
        standing = None if memory_id is None else self._projection.standing(memory_id, bank)
        known = None if memory_id is None else self._known(memory_id)
        if known is not None and known >> BANK_SHIFT != bank.key:
            raise misfit(operation, "another bank has a memory of this id")
        found = None if standing is None or operation.kind is OperationKind.ERASE else standing.record
        if found != operation.before:
            raise misfit(operation, "the memory is in another state than the one it starts from")
        key = None if standing is None else standing.key
        seq = self._seq + 1
        if operation.kind is OperationKind.ERASE and memory_id is not None and known is not None:
            self._flush_operations()
            scrub(self._connection, [memory_id])
        if operation.kind is not OperationKind.NOOP and memory_id is not None:
            if after is not None:
                after = plain(after)
                if after.live and self._projection.holder(bank, after.text) not in (None, memory_id):
                    raise misfit(operation, "another live memory has its text")
                key = self._put(bank, standing, seq, after, vector)
            elif standing is not None:
                self._projection.remove(bank, standing)
        self._now = max(self._now, to_micros(operation.at))
        prior = None if operation.kind is OperationKind.ERASE else standing
        self._append(bank, replace(operation, seq=seq, after=after), key, prior)
        return True

    def erase(self, memory_id: str) -> Operation:
        """Take a memory out whose log lines are scrubbed already, and say so in the log."""
        row = self._connection.execute(
            "SELECT b.user_id, b.agent_id, b.run_id FROM operations o JOIN banks b ON b.key = o.bank"
            " WHERE o.memory_id = ? LIMIT 1",
            (memory_id,),
        ).fetchone()
        bank = self._bank(Scope(*row))
        standing = self._projection.standing(memory_id, bank)
        if standing is not None:
            self._projection.remove(bank, standing)
        change = Change(OperationKind.ERASE, bank.scope, memory_id=memory_id)
        return self._log(bank, change, self._known(memory_id), None, None)

    def finish(self) -> None:
        """Write what was held back."""
        self._projection.finish()
        self._flush_operations()
        self._connection.executemany(
            "UPDATE banks SET next = ?, live = ? WHERE key = ?",
            [(bank.next, bank.live, bank.key) for bank in self._banks.values()],
        )
        self._connection.execute("UPDATE meta SET seq = ?, at = ?, bank = ?", (self._seq, self._now, self._last_bank))

    def _flush_operations(self) -> None:
        self._connection.executemany(_INSERT_OPERATION, self._rows)
        self._rows.clear()

    def _add(self, bank: Bank, change: Change) -> Operation:
        after = resulting_state(change)
        holder = self._projection.holder(bank, after.text)
        if holder is not None:
            standing = self._projection.standing(holder, bank)
            assert standing is not None
            noop = replace(change, kind=OperationKind.NOOP, memory_id=holder)
            return self._log(bank, noop, standing.key, standing, standing.record)
        if self._known(after.id) is not None:
            raise ConflictError(f"The id {after.id!r} is taken.", hint="Give every new memory an id of its own.")
        return self._apply(bank, replace(change, memory_id=after.id), None, after)

    def _undo(self, bank: Bank, change: Change, standing: Standing | None) -> Operation:
        row = self._connection.execute(
            f"SELECT {OPERATION_COLUMNS} FROM {OPERATION_TABLES} WHERE o.id = ? AND o.bank = ?",
            (change.undoes, bank.key),
        ).fetchone()
        undone = None if row is None else to_operation(row, bank.scope)
        if undone is None or undone.memory_id is None or undone.memory_id != change.memory_id:
            raise InvalidInputError(f"This bank has no operation {change.undoes!r} on {change.memory_id!r}.")
        if undone.kind in (OperationKind.NOOP, OperationKind.ERASE):
            raise InvalidInputError(f"{undone.kind} {undone.id} cannot be undone.")
        if (None if standing is None else standing.record) != undone.after:
            raise ConflictError(
                f"Operation {undone.id} cannot be undone: its memory has changed since.",
                hint="Undo the later operations first, or pass cascade=True.",
            )
        if change.after is None:
            return self._apply(bank, change, standing, None)
        after = resulting_state(change)
        if after.live:
            self._check_text_is_free(bank, after)
        return self._apply(bank, change, standing, after)

    def _retired(self, change: Change, before: MemoryRecord) -> MemoryRecord:
        if change.after is None:
            return replace(before, version=before.version + 1, updated_at=self._at, invalidated_at=self._at)
        after = resulting_state(change)
        if after.live:
            raise InvalidInputError("DELETE leaves a live memory behind.", hint="Set `invalidated_at`.")
        return after

    def _check_text_is_free(self, bank: Bank, after: MemoryRecord) -> None:
        holder = self._projection.holder(bank, after.text)
        if holder not in (None, after.id):
            raise ConflictError(
                f"The live memory {holder} of this bank already has this text.", hint="Delete or change one of the two."
            )

    def _apply(self, bank: Bank, change: Change, standing: Standing | None, after: MemoryRecord | None) -> Operation:
        if after is not None:
            key = self._put(bank, standing, self._seq + 1, after, change.vector)
            return self._log(bank, change, key, standing, after)
        if standing is not None:
            self._projection.remove(bank, standing)
        return self._log(bank, change, None if standing is None else standing.key, standing, None)

    def _put(
        self,
        bank: Bank,
        standing: Standing | None,
        seq: int,
        after: MemoryRecord,
        vector: NDArray[np.float32] | None,
    ) -> int:
        key = self._projection.put(bank, standing, None if standing else self._known(after.id), seq, after)
        self._keys[after.id] = key
        if vector is not None:
            self._projection.put_vector(key, self._checked_vector(vector))
        elif standing is None or standing.record.text != after.text:
            self._projection.put_vector(key, None)
        return key

    def _log(
        self,
        bank: Bank,
        change: Change,
        key: int | None,
        standing: Standing | None,
        after: MemoryRecord | None,
    ) -> Operation:
        operation = Operation(
            self._seq + 1,
            os.urandom(16).hex(),
            change.kind,
            bank.scope,
            self._at,
            change.memory_id,
            None if standing is None else standing.record,
            after,
            change.decision,
            change.undoes,
            change.actor,
            change.idempotency_key,
        )
        self._append(bank, operation, key, standing)
        return operation

    def _append(self, bank: Bank, operation: Operation, key: int | None, standing: Standing | None) -> None:
        repeated = operation.after is None or operation.kind is OperationKind.NOOP
        self._rows.append(
            (
                operation.seq,
                operation.id,
                operation.kind,
                bank.key,
                to_micros(operation.at),
                operation.memory_id,
                key,
                None if standing is None else standing.seq,
                None if repeated else dumps(encode_record(operation.after)),  # type: ignore[arg-type]
                None if operation.decision is None else dumps(encode_decision(operation.decision)),
                operation.undoes,
                operation.actor,
                operation.idempotency_key,
            )
        )
        self._seq = operation.seq
        if operation.idempotency_key is not None:
            self._written[bank.key, operation.idempotency_key] = operation

    def _bank(self, scope: Scope) -> Bank:
        bank = self._banks.get(scope)
        if bank is None:
            bank = BankDirectory.load(self._connection, scope)
            if bank is None:
                self._last_bank += 1
                bank = Bank(self._last_bank, scope, 1, 0)
                self._connection.execute(
                    "INSERT INTO banks VALUES (?, ?, ?, ?, 1, 0)",
                    (bank.key, scope.user_id, scope.agent_id, scope.run_id),
                )
            self._banks[scope] = bank
        return bank

    def _seen(self, bank: Bank, idempotency_key: str) -> Operation | None:
        written = self._written.get((bank.key, idempotency_key))
        if written is not None:
            return written
        row = self._connection.execute(
            f"SELECT {OPERATION_COLUMNS} FROM {OPERATION_TABLES} WHERE o.bank = ? AND o.idempotency_key = ?",
            (bank.key, idempotency_key),
        ).fetchone()
        return None if row is None else to_operation(row, bank.scope)

    def _has(self, operation_id: str) -> bool:
        found = self._connection.execute("SELECT 1 FROM operations WHERE id = ?", (operation_id,)).fetchone()
        return found is not None or any(row[1] == operation_id for row in self._rows)

    def _known(self, memory_id: str) -> int | None:
        """Key of a memory that the log has ever named."""
        if memory_id in self._keys:
            return self._keys[memory_id]
        row = self._connection.execute(
            "SELECT memory FROM operations WHERE memory_id = ? AND memory IS NOT NULL LIMIT 1", (memory_id,)
        ).fetchone()
        return None if row is None else row[0]

    def _checked_vector(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        import numpy as np

        vector = np.ascontiguousarray(vector, dtype="<f4")
        if not self._vectors_checked:
            self._vectors_checked = True
            self._stored = settle_identity(self._connection, self._stored, self._identity, vector.size)
        if self._stored is None or vector.shape != (self._stored.dimension,):
            raise InvalidInputError(
                f"A vector has shape {vector.shape}; this store's have {self._stored.dimension if self._stored else 0}"
                " numbers.",
                hint="Embed with the embedder that the store is bound to.",
            )
        return vector
