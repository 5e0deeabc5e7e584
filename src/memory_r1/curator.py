"""From turns to operations: extract facts, let the manager rule on each, write what it decided.

The language model is slow and the bank is shared, so nothing is locked while it thinks. A decision is taken on a
snapshot and written only if the memory it changes is still the version it saw; otherwise it is taken again.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from memory_r1.agents.asides import put_aside
from memory_r1.agents.candidates import WIDER, own_first
from memory_r1.agents.results import Ruling, Usage
from memory_r1.bank.fact import Fact
from memory_r1.bank.memory import MemoryRecord
from memory_r1.bank.operation import Candidate, Change, Decision, Operation, OperationKind
from memory_r1.bank.scope import Scope
from memory_r1.bank.states import added, retired, updated
from memory_r1.bank.store import Store
from memory_r1.errors import ConflictError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memory_r1.agents.manager import MemoryManager
    from memory_r1.retrieval.embedder import Embedder
    from memory_r1.retrieval.search import Retriever

# operations to look back for what a speaker told last; on one day they are not many
_FAR_BACK = 50

# another writer beat us to the same memory this often in a row: store the fact rather than chase it
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class PlannedOperation:
    """What would be done for one fact, and why; nothing has been written."""

    fact: Fact
    kind: OperationKind
    before: MemoryRecord | None
    after: MemoryRecord | None
    candidates: tuple[MemoryRecord, ...]
    ruling: Ruling


@dataclass
class Draft:
    """A bank as it would stand: the store's, with changes laid over it that are not written."""

    states: dict[str, MemoryRecord] = field(default_factory=dict)
    added: list[str] = field(default_factory=list)
    """Ids of the memories that are new, in order."""
    vectors: dict[str, NDArray[np.float32]] = field(default_factory=dict)


class Curator:
    """Turns facts into operations on a store.

    Args:
        store: Where operations are written.
        retriever: Finds the memories that a fact may concern.
        embedder: Embeds new texts; the same one as the retriever's.
        manager: Rules on each fact; called only if there is something to rule on.
        candidates: How many existing memories the manager sees for a fact.
    """

    def __init__(
        self, store: Store, retriever: Retriever, embedder: Embedder, manager: MemoryManager, *, candidates: int = 3
    ) -> None:
        self._store = store
        self._retriever = retriever
        self._embedder = embedder
        self._manager = manager
        self._count = candidates
        self._locks: defaultdict[Scope, threading.Lock] = defaultdict(threading.Lock)
        self._locks_guard = threading.Lock()

    def curate(
        self,
        fact: Fact,
        scope: Scope,
        *,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> tuple[Operation, Usage]:
        """Decide on a fact and write the operation.

        Raises:
            StoreError: The store failed; nothing is written.
            ModelError: The model failed; nothing is written.
        """
        with self._turn_of(scope):
            usage = Usage()
            for _ in range(ATTEMPTS):
                candidates, ruling, vector = self._rule(fact, scope, None)
                usage += ruling.usage
                change = self._change(fact, scope, candidates, ruling, vector, metadata, idempotency_key)
                try:
                    return self._store.commit([change])[0], usage
                except ConflictError as error:
                    conflict = error
            ruling = Ruling(
                OperationKind.ADD,
                text=fact.text,
                raw=ruling.raw,
                rejected=f"conflict: {conflict.message}",
                policy=ruling.policy,
            )
            change = self._change(fact, scope, candidates, ruling, vector, metadata, idempotency_key)
            return self._store.commit([change])[0], usage

    def plan(self, facts: Sequence[Fact], scope: Scope) -> list[PlannedOperation]:
        """Decide on facts one after another, each seeing what the earlier ones would have done, and write nothing."""
        draft = Draft()
        planned = []
        for fact in facts:
            candidates, ruling, vector = self._rule(fact, scope, draft)
            change = self._change(fact, scope, candidates, ruling, vector, None, None)
            before = candidates[ruling.target] if ruling.target is not None else None
            after = change.after
            if after is not None:
                draft.states[after.id] = after
                if ruling.kind is OperationKind.ADD:
                    draft.added.append(after.id)
                if change.vector is not None:
                    draft.vectors[after.id] = change.vector
            planned.append(PlannedOperation(fact, ruling.kind, before, after or before, tuple(candidates), ruling))
        return planned

    def add_raw(
        self,
        facts: Sequence[Fact],
        scope: Scope,
        *,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> list[Operation]:
        """Store texts as they are, in one transaction, without asking any model but the embedder."""
        vectors = self._embedder.embed([fact.text for fact in facts])
        return self._store.commit(
            [
                Change(
                    OperationKind.ADD,
                    scope,
                    after=added(fact, scope, fact.text, metadata),
                    vector=vector,
                    idempotency_key=_part(idempotency_key, index),
                )
                for index, (fact, vector) in enumerate(zip(facts, vectors, strict=True))
            ]
        )

    @contextmanager
    def _turn_of(self, scope: Scope) -> Iterator[None]:
        # two facts of one bank decided at once would not see each other; different banks need not wait
        with self._locks_guard:
            lock = self._locks[scope]
        with lock:
            yield

    def _rule(
        self, fact: Fact, scope: Scope, draft: Draft | None
    ) -> tuple[list[MemoryRecord], Ruling, NDArray[np.float32]]:
        vector = self._embedder.embed([fact.text])[0]
        candidates = self._candidates(fact, scope, vector, draft)
        ruling = self._manager.decide(fact, candidates)
        if ruling.aside and (told := self._told_last(fact, scope, draft)) is not None:
            aside = put_aside(ruling, fact, told, len(candidates))
            if aside is not None:
                return [*candidates, told], aside, vector
        return candidates, ruling, vector

    def _told_last(self, fact: Fact, scope: Scope, draft: Draft | None) -> MemoryRecord | None:
        """The newest memory that the fact's speaker told, if it is among the last few that were written."""
        speaker = fact.provenance.speaker
        planned = draft or Draft()
        written = self._store.operations(scope, newest_first=True, limit=_FAR_BACK) if speaker is not None else []
        added_here = [one.memory_id for one in written if one.kind is OperationKind.ADD and one.scope == scope]
        for name in (*reversed(planned.added), *added_here):
            memory = (planned.states.get(name) or self._store.get(name)) if name is not None else None
            if memory is not None and memory.live and memory.provenance.speaker == speaker:
                return memory
        return None

    def _candidates(
        self, fact: Fact, scope: Scope, vector: NDArray[np.float32], draft: Draft | None
    ) -> list[MemoryRecord]:
        hits = self._retriever.search(scope, fact.text, k=WIDER * self._count, query_vector=vector, exact_bank=True)
        found = [hit.memory for hit in hits]
        if draft is None or not draft.states:
            return self._shown(found, fact)
        # a planned memory competes by its similarity alone, ahead of what the store ranked lower
        similar = sorted(draft.vectors, key=lambda key: -float(draft.vectors[key] @ vector))[: self._count]
        planned = [draft.states[key] for key in similar if float(draft.vectors[key] @ vector) > 0.3]
        current = planned + [draft.states.get(memory.id, memory) for memory in found]
        unique = {memory.id: memory for memory in current if memory.live}
        return self._shown(list(unique.values()), fact)

    def _shown(self, found: Sequence[MemoryRecord], fact: Fact) -> list[MemoryRecord]:
        return own_first(found, fact.provenance.speaker, lambda memory: memory.provenance.speaker, self._count)

    def _change(
        self,
        fact: Fact,
        scope: Scope,
        candidates: Sequence[MemoryRecord],
        ruling: Ruling,
        vector: NDArray[np.float32],
        metadata: Mapping[str, Any] | None,
        idempotency_key: str | None,
    ) -> Change:
        target = candidates[ruling.target] if ruling.target is not None else None
        decision = Decision(
            fact=fact,
            candidates=tuple(Candidate(memory.id, memory.version) for memory in candidates),
            raw=ruling.raw,
            policy=ruling.policy,
            rejected=ruling.rejected,
            doubted=ruling.doubted,
            prompt_tokens=ruling.usage.prompt_tokens,
            completion_tokens=ruling.usage.completion_tokens,
            seconds=ruling.usage.seconds,
        )
        text = ruling.text or fact.text
        after: MemoryRecord | None = None
        if ruling.kind is OperationKind.ADD:
            after = added(fact, scope, text, metadata)
        elif target is not None and ruling.kind is OperationKind.UPDATE:
            after = updated(target, text, fact, metadata)
        elif target is not None and ruling.kind is OperationKind.DELETE:
            after = retired(target)
        writes_text = ruling.kind in (OperationKind.ADD, OperationKind.UPDATE)
        return Change(
            ruling.kind,
            scope,
            memory_id=target.id if target else None,
            after=after,
            vector=(vector if text == fact.text else self._embedder.embed([text])[0]) if writes_text else None,
            expected_version=target.version if target and ruling.kind is not OperationKind.NOOP else None,
            decision=decision,
            actor="manager",
            idempotency_key=idempotency_key,
        )


def _part(key: str | None, index: int) -> str | None:
    return f"{key}#{index}" if key is not None else None
