"""The log as the source of truth: the bank at any time is the fold of its operations."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from memory_r1.bank.memory import MemoryRecord
from memory_r1.bank.operation import Operation, OperationKind
from memory_r1.bank.scope import Scope
from memory_r1.bank.store import Store


def fold(operations: Iterable[Operation]) -> dict[str, MemoryRecord]:
    """Replay operations, given in log order.

    Returns:
        Every memory that they leave behind, by id, retired ones included.

    Example:
        >>> fold([])
        {}
    """
    memories: dict[str, MemoryRecord] = {}
    for operation in operations:
        if operation.memory_id is None or operation.kind is OperationKind.NOOP:
            continue
        if operation.after is None:
            memories.pop(operation.memory_id, None)
        else:
            memories[operation.memory_id] = operation.after
    return memories


def as_of(store: Store, scope: Scope, time: datetime) -> list[MemoryRecord]:
    """The live memories of a scope as they stood at a time (aware), oldest first.

    What has been erased since then does not come back.
    """
    standing = fold(store.operations(scope, until=time)).values()
    return sorted((memory for memory in standing if memory.live), key=lambda memory: memory.created_at)


def history(store: Store, memory_id: str) -> list[Operation]:
    """The operations on a memory, oldest first; empty for an unknown id."""
    return store.operations(memory_id=memory_id)
