"""What happened to a bank: operations, the only source of truth.

An operation carries the full state of its memory before and after, so the log alone explains, replays and undoes
everything: the bank is the fold of its operations.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from memory_r1.bank.fact import Fact
from memory_r1.bank.memory import MemoryRecord
from memory_r1.bank.scope import Scope

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class OperationKind(StrEnum):
    """What an operation did. The manager decides on the first four; a person or program asks for the last two."""

    ADD = "ADD"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    NOOP = "NOOP"
    UNDO = "UNDO"
    ERASE = "ERASE"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A memory version that the manager was shown; its place in the list is the small integer it was shown under.

    The text is not repeated here: it stands in the log, and an erased text must not survive in a decision.
    """

    memory_id: str
    version: int


@dataclass(frozen=True, slots=True)
class Decision:
    """Why an operation was taken: what the manager saw, what it said, and which policy it was."""

    fact: Fact
    candidates: tuple[Candidate, ...] = ()
    raw: str = ""
    """The completion, verbatim."""
    policy: str = ""
    """Base model and adapter, e.g. `smollm2-135m-instruct+manager`."""
    rejected: str | None = None
    """Why the output could not be used (the fallback ADD was taken), or None."""
    doubted: str | None = None
    """What a small policy said and was not believed in, and why, or None. Holds nothing that was said."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Operation:
    """One line of the log."""

    seq: int
    """Position in the store's log, rising from 1."""
    id: str
    kind: OperationKind
    scope: Scope
    at: datetime
    """When it was written (aware, UTC); never earlier than the operation before it."""
    memory_id: str | None
    """The memory it concerns; None for a NOOP without one."""
    before: MemoryRecord | None
    """The memory's state before; None if it did not exist."""
    after: MemoryRecord | None
    """The memory's state after; None if it no longer exists. NOOP: equal to `before`."""
    decision: Decision | None = None
    undoes: str | None = None
    """For UNDO, the id of the operation that was undone."""
    actor: str = "user"
    """Who asked for it: manager, user, import."""
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """An operation that is asked for and not yet written: a store turns it into an `Operation` or refuses it."""

    kind: OperationKind
    scope: Scope
    memory_id: str | None = None
    after: MemoryRecord | None = None
    """The state to leave behind. None: the memory is removed (UNDO of ADD), retired (DELETE) or unchanged (NOOP)."""
    vector: NDArray[np.float32] | None = None
    """Embedding of `after.text`, shape (dimension,); None if the text has not changed."""
    expected_version: int | None = None
    """If set, the write is refused with `ConflictError` unless the live memory has this version."""
    decision: Decision | None = None
    undoes: str | None = None
    actor: str = "user"
    idempotency_key: str | None = None
