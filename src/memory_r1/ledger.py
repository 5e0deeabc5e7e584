"""The half of `Memory` that looks back at the log: history, undo, time travel, export, real deletion."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from memory_r1 import shapes
from memory_r1.bank.log import as_of, history
from memory_r1.bank.memory import MemoryRecord
from memory_r1.bank.operation import Operation, OperationKind
from memory_r1.bank.portable import export_log, import_log
from memory_r1.bank.scope import Scope
from memory_r1.bank.store import EmbedderIdentity
from memory_r1.bank.undo import undo
from memory_r1.errors import NotFoundError
from memory_r1.messages import to_time
from memory_r1.parts import Parts
from memory_r1.recall import Recent, within


class Ledger:
    """What a `Memory` can do with its log."""

    _parts: Parts
    _recent: Recent

    def erase(
        self,
        memory_id: str | None = None,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
    ) -> list[Operation]:
        """Really delete a memory, or all of a scope, for privacy: texts, versions and vectors leave the log too.

        This cannot be undone. The log keeps that something was erased, when, and under which id.

        Raises:
            NotFoundError: No memory has this id, retired ones included.
            ScopeError: Neither an id nor a scope is given.
        """
        if memory_id is not None:
            record = self._parts.store.get(memory_id)
            if record is not None and not within(record, user_id, agent_id, run_id):
                raise NotFoundError(f"No memory of this scope has the id {memory_id!r}.")
            doomed = [memory_id]
        else:
            scope = Scope(user_id, agent_id, run_id)
            doomed = _memory_ids(self._parts.store.operations(scope))
        self._recent.clear()
        self._parts.forget()
        return self._parts.store.erase(doomed)

    def reset(self) -> None:
        """Delete everything of every scope, the log included."""
        self._recent.clear()
        self._parts.forget()
        self._parts.store.reset()

    def history(self, memory_id: str) -> list[dict[str, Any]]:
        """What happened to a memory, oldest first, in mem0's shape; empty for an unknown id."""
        return [shapes.history_row(operation) for operation in history(self._parts.store, memory_id)]

    def log(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> list[Operation]:
        """Operations of a scope in the order they were written, with the decision behind each."""
        scope = Scope(user_id, agent_id, run_id)
        return self._parts.store.operations(scope, limit=limit, newest_first=newest_first)

    def undo(self, operation_id: str, *, cascade: bool = False) -> list[Operation]:
        """Take an operation back, an undo included.

        Args:
            operation_id: The operation.
            cascade: Also take back the later operations on the same memory, newest first.

        Returns:
            The UNDO operations written.

        Raises:
            NotFoundError: No operation has this id.
            ConflictError: Later operations stand in the way, or another memory now has the text.
        """
        return undo(self._parts.store, operation_id, cascade=cascade, embed=self._parts.embedder.embed)

    def as_of(
        self, time: Any, *, user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None
    ) -> list[MemoryRecord]:
        """The live memories of a scope as they stood at a time."""
        return as_of(self._parts.store, Scope(user_id, agent_id, run_id), to_time(time, what="time"))

    def export(
        self,
        path: str | Path,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
    ) -> int:
        """Write the log of a scope (of everything, if none is given) as JSON lines; return the number of operations."""
        named = any((user_id, agent_id, run_id))
        return export_log(self._parts.store, Scope(user_id, agent_id, run_id) if named else None, Path(path))

    def import_(self, path: str | Path) -> int:
        """Read an exported log; all of it or nothing. Return the number of operations that were new.

        Raises:
            InvalidInputError: The file is not an export, or is damaged; the message names the line.
            ConflictError: It contradicts what the store already holds.
        """
        embedder = self._parts.embedder
        identity = EmbedderIdentity(embedder.name, embedder.dimension)
        return import_log(self._parts.store, Path(path), embed=embedder.embed, embedder=identity)


def _memory_ids(operations: Iterable[Operation]) -> list[str]:
    # the log, not the bank: retired memories must go too
    return list(dict.fromkeys(o.memory_id for o in operations if o.memory_id and o.kind is not OperationKind.ERASE))
