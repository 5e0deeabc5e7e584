"""Taking operations back. An undo is an operation too: the log grows, and the undo can itself be undone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from memory_r1.bank.operation import Change, Operation, OperationKind
from memory_r1.bank.store import Store
from memory_r1.errors import ConflictError, InvalidInputError, NotFoundError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def undo(
    store: Store,
    operation_id: str,
    *,
    cascade: bool = False,
    embed: Callable[[Sequence[str]], NDArray[np.float32]],
) -> list[Operation]:
    """Bring a memory back to its state before an operation.

    Args:
        store: Where the operation is.
        operation_id: An ADD, UPDATE, DELETE or UNDO. Undoing an UNDO does again what was undone.
        cascade: Also take back the later operations on the same memory, newest first, in the same transaction.
        embed: Embeds texts that come back and whose vectors are gone, shape (texts, dimension).

    Returns:
        The UNDO operations written, in the order they were.

    Raises:
        NotFoundError: No operation has this id.
        InvalidInputError: The operation changed nothing (NOOP), or nothing is left to bring back (ERASE, or before it).
        ConflictError: Later operations stand in the way, or another live memory now has the text.
    """
    target = store.operation(operation_id)
    if target is None:
        raise NotFoundError(f"No operation has the id {operation_id!r}.", hint="`memory-r1 log` lists the operations.")
    memory_id = target.memory_id
    if memory_id is None or target.kind is OperationKind.NOOP:
        raise InvalidInputError(f"Operation {operation_id} is a NOOP: it changed nothing.", hint="Undo another one.")
    history = store.operations(memory_id=memory_id)
    if any(operation.kind is OperationKind.ERASE for operation in history):
        raise InvalidInputError(f"Memory {memory_id} was erased; an erase cannot be undone.", hint="Add it anew.")
    effects = _effects(history)
    standing = _effective((operation for operation in history if operation.seq > target.seq), effects)
    if len(standing) == 1 and effects[standing[0].id] == effects[target.id].inverse:
        raise ConflictError(
            f"Operation {operation_id} is undone already, by {standing[0].id}.", hint="Undo that one to do it again."
        )
    if standing and not cascade:
        names = ", ".join(f"{operation.kind} {operation.id}" for operation in standing)
        raise ConflictError(
            f"Operation {operation_id} cannot be undone alone: later operations changed memory {memory_id}: {names}.",
            hint="Undo these first, newest first, or pass cascade=True.",
        )
    doomed = [*reversed(standing), target]
    texts = list(dict.fromkeys(text for operation in doomed if (text := _returning(operation)) is not None))
    vectors = dict(zip(texts, embed(texts), strict=True)) if texts else {}
    return store.commit(
        [
            Change(
                OperationKind.UNDO,
                operation.scope,
                memory_id=memory_id,
                after=operation.before,
                vector=vectors.get(_returning(operation) or ""),
                undoes=operation.id,
            )
            for operation in doomed
        ]
    )


class _Effect(NamedTuple):
    """What an operation comes down to: an original operation, done or taken back."""

    original: str
    done: bool

    @property
    def inverse(self) -> _Effect:
        return _Effect(self.original, not self.done)


def _effects(history: Iterable[Operation]) -> dict[str, _Effect]:
    """By operation id; an UNDO of an UNDO comes down to doing the original again."""
    effects: dict[str, _Effect] = {}
    for operation in history:
        undone = effects.get(operation.undoes) if operation.undoes is not None else None
        effects[operation.id] = _Effect(operation.id, True) if undone is None else undone.inverse
    return effects


def _effective(operations: Iterable[Operation], effects: Mapping[str, _Effect]) -> list[Operation]:
    """Operations that changed the memory, without those that the next one left took back."""
    standing: list[Operation] = []
    for operation in operations:
        if operation.kind is OperationKind.NOOP:
            continue
        if standing and effects[standing[-1].id] == effects[operation.id].inverse:
            standing.pop()
        else:
            standing.append(operation)
    return standing


def _returning(operation: Operation) -> str | None:
    """The text that undoing an operation brings back, if the memory has another one or none before."""
    before, after = operation.before, operation.after
    if before is None or (after is not None and after.text == before.text):
        return None
    return before.text
