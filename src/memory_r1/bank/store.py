"""What a store must do: keep the log and its projection in step, durably, for many threads and processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, runtime_checkable

from memory_r1.bank.memory import MemoryRecord
from memory_r1.bank.operation import Change, Operation
from memory_r1.bank.scope import Scope

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memory_r1.bank.filters import Filter


@dataclass(frozen=True, slots=True)
class EmbedderIdentity:
    """Which embedder a store's vectors come from."""

    name: str
    dimension: int


class IndexBatch(NamedTuple):
    """What changed in the set of live memories of a scope since some point of the log; the food of a vector index."""

    head: int
    """The log position this batch brings the reader to."""
    keys: NDArray[np.int64]
    """(n,) store keys of live memories that are new or have a new text."""
    vectors: NDArray[np.float32]
    """(n, dimension) their vectors, unit norm."""
    gone: NDArray[np.int64]
    """(m,) store keys that are no longer live."""
    full: bool = False
    """The batch is the whole set: forget what you had. So it is for `after` 0, a reset, or new vectors for all."""
    speakers: Sequence[str | None] = ()
    """(n,) who said each of `keys`; empty if the store does not know."""


class TextMatch(NamedTuple):
    """One hit of a full-text search."""

    key: int
    score: float
    """BM25, higher is better."""


@runtime_checkable
class Store(Protocol):
    """Keeps operations and the current memories. Safe for many threads and processes at once.

    A memory has an integer *key*, stable for its life and private to the store, which indexes use instead of its id.
    The keys of a bank rise in the order in which its memories were first written.
    Reads take a `Scope` and see exactly the banks it covers. Every method raises `StoreError` if the medium fails, and
    then nothing of that call has been written.
    """

    @property
    def location(self) -> str:
        """Where the data lies, for messages: a path or a URL without password."""
        ...

    def embedder(self) -> EmbedderIdentity | None:
        """The embedder of the stored vectors; None while no vector has been stored."""
        ...

    def bind_embedder(self, identity: EmbedderIdentity) -> None:
        """Declare which embedder the caller's vectors come from.

        Raises:
            EmbedderMismatchError: The store holds vectors of another one; the hint names `memory-r1 reembed`.
        """
        ...

    def reembed(self, identity: EmbedderIdentity, vectors: Iterable[tuple[int, NDArray[np.float32]]]) -> int:
        """Replace all vectors, given as (key, vector), in one transaction; return how many.

        Raises:
            ConflictError: A memory has no new vector.
        """
        ...

    def texts(self) -> Iterator[tuple[int, str]]:
        """(key, text) of every memory that has a vector, in key order; what `reembed` must cover."""
        ...

    def commit(self, changes: Sequence[Change]) -> list[Operation]:
        """Write operations and their effect on the projection in one durable transaction.

        An ADD whose text a live memory of the same bank already holds becomes a NOOP on that memory. A change whose
        idempotency key the bank has seen is not written again: the operation of then is returned.

        Raises:
            ConflictError: An `expected_version` does not hold, an UPDATE would repeat another live memory's text, or
                the memory to change does not exist in that scope.
        """
        ...

    def head(self) -> int:
        """`seq` of the newest operation, 0 for an empty log."""
        ...

    def get(self, memory_id: str) -> MemoryRecord | None:
        """A memory by id, retired ones included, or None."""
        ...

    def fetch(self, keys: Sequence[int]) -> dict[int, MemoryRecord]:
        """Memories by key, retired ones included; unknown keys are left out."""
        ...

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
        ...

    def keys(self, scope: Scope, where: Filter) -> NDArray[np.int64]:
        """Sorted keys of the live memories of a scope that a filter accepts."""
        ...

    def count(self, scope: Scope | None = None) -> int:
        """How many live memories a scope has, or the whole store."""
        ...

    def scopes(self) -> list[Scope]:
        """Every bank that has at least one operation."""
        ...

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
        ...

    def operation(self, operation_id: str) -> Operation | None:
        """An operation by id, or None."""
        ...

    def index_batch(self, scope: Scope, after: int) -> IndexBatch:
        """What changed among the live memories of a scope since log position `after` (0: everything)."""
        ...

    def vectors(self, keys: Sequence[int]) -> dict[int, NDArray[np.float32]]:
        """Vectors of memories by key, each of shape (dimension,); keys without one are left out."""
        ...

    def match(
        self,
        scope: Scope,
        terms: Sequence[str],
        limit: int,
        *,
        columns: Literal["text", "context", "both"] = "both",
        among: NDArray[np.int64] | None = None,
    ) -> list[TextMatch]:
        """Full-text search for any of the terms (plain words, never query syntax) among live memories, best first.

        Args:
            scope: Whose memories.
            terms: Words; stemmed, without case or accents.
            limit: Most matches.
            columns: Where to look: `text`; `context`, which is the speaker's name and the event's day as words
                (`Ann 8 May 2023`); or both.
            among: Rising keys of live memories of the scope: search these alone, and score as if there were no others,
                so that a term is as rare as it is among them; None: all of the scope.
        """
        ...

    def erase(self, memory_ids: Sequence[str]) -> list[Operation]:
        """Really delete memories: rows, vectors, full-text entries, and their texts everywhere in the log.

        What remains is an ERASE operation per memory that says that, when and which id, and not what. The memory's
        earlier operations stay as bare lines: kind, time and id, without states, fact, raw output or idempotency key.
        Raw outputs of decisions that saw the memory go too. An id that is erased already is passed over.

        Raises:
            NotFoundError: An id is unknown; nothing is erased.
        """
        ...

    def restore(self, operations: Sequence[Operation], vectors: Sequence[NDArray[np.float32] | None]) -> int:
        """Append exported operations verbatim (ids, times, decisions) under new `seq` numbers; return how many.

        Operations already in the log (same id) are passed over. `vectors[i]` embeds `operations[i].after.text` where
        that state is one the projection may need.

        Raises:
            ConflictError: An operation does not fit the state it meets.
        """
        ...

    def reset(self) -> None:
        """Delete everything, log included."""
        ...

    def close(self) -> None:
        """Release the store; a second call does nothing."""
        ...
