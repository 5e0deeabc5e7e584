"""A bank as it stands in an episode: plain entries, changed by rulings, searched by the product's own ranking."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from memory_r1.agents.asides import put_aside
from memory_r1.agents.candidates import WIDER, own_first
from memory_r1.agents.results import Ruling
from memory_r1.bank.fact import Fact
from memory_r1.bank.memory import MemoryRecord, Provenance, content_hash
from memory_r1.bank.operation import Change, OperationKind
from memory_r1.bank.scope import Scope
from memory_r1.bank.sqlite import SqliteStore
from memory_r1.bank.store import EmbedderIdentity
from memory_r1.errors import ConfigError

if TYPE_CHECKING:
    from memory_r1.retrieval.embedder import Embedder
    from memory_r1.retrieval.search import Retriever

SCOPE = Scope(run_id="episode")
"""The scope of every episode's bank."""

UNDATED = datetime(2024, 1, 1, tzinfo=UTC)
"""When memories without a time are taken to be written, so that prompts are the same on every day."""

_OPEN_BANKS = 16
_KEPT_RESULTS = 100_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One memory of an episode's bank."""

    id: str
    """Unique in its bank; never shown to a model."""
    text: str
    time: datetime | None = None
    """When its newest fact was said (aware, UTC)."""
    speaker: str | None = None
    """Who said that fact."""
    turns: tuple[str, ...] = ()
    """The turns that its facts come from, oldest first."""
    planted: bool = False
    """Whether it holds an instruction that should never have been stored."""

    def record(self) -> MemoryRecord:
        """The memory as the agents see it."""
        turn = self.turns[-1] if self.turns else None
        time = self.time or UNDATED
        provenance = Provenance(turn_id=turn, speaker=self.speaker)
        return MemoryRecord(self.id, SCOPE, self.text, time, time, event_time=self.time, provenance=provenance)


@dataclass(frozen=True, slots=True)
class GoldRuling:
    """What the Memory Manager should do with a fact."""

    kind: OperationKind
    target: str | None = None
    """Id of the entry that is changed, retired, or says it already."""
    text: str | None = None
    """The entry's text afterwards, for UPDATE; for ADD the text if it is not the fact's own."""

    def allows(self, ruling: Ruling, candidates: Sequence[str]) -> bool:
        """Whether a ruling is of the right kind and, for UPDATE and DELETE, names the right entry, in whatever words.

        Args:
            ruling: What the manager decided; one that could not be used is never right.
            candidates: Ids of the entries that its target counts through.
        """
        if ruling.rejected is not None or ruling.kind is not self.kind:
            return False
        target = None if ruling.target is None else candidates[ruling.target]
        return target == self.target or self.kind in (OperationKind.ADD, OperationKind.NOOP)


@dataclass(frozen=True, slots=True)
class NewFact:
    """A fact that an episode's manager rules on."""

    text: str
    time: datetime | None = None
    speaker: str | None = None
    turn_id: str | None = None
    planted: bool = False
    """Whether it comes from a planted instruction."""
    gold: GoldRuling | None = None
    """What to do with it, where that is known."""

    def fact(self) -> Fact:
        """The fact as the agents see it."""
        return Fact(self.text, self.time, Provenance(turn_id=self.turn_id, speaker=self.speaker))


Bank = tuple[Entry, ...]
"""Entries in the order in which they were first written."""


def apply(bank: Bank, ruling: Ruling, candidates: Sequence[str], fact: NewFact, new_id: str) -> Bank:
    """The bank after a ruling, exactly as the curator and the store would leave it; the bank given stays as it is.

    Args:
        bank: The bank.
        ruling: What to do.
        candidates: Ids of the entries that the ruling's target counts through.
        fact: What it is about.
        new_id: Id of the entry that an ADD makes.
    """
    if ruling.kind is OperationKind.NOOP:
        return bank
    if ruling.aside:
        told = next((entry for entry in reversed(bank) if fact.speaker and entry.speaker == fact.speaker), None)
        aside = put_aside(ruling, fact.fact(), told.record(), len(candidates)) if told is not None else None
        if told is not None and aside is not None:
            return apply(bank, aside, [*candidates, told.id], fact, new_id)
    target = candidates[ruling.target] if ruling.target is not None else None
    if ruling.kind is OperationKind.DELETE:
        return tuple(entry for entry in bank if entry.id != target)
    text = ruling.text or fact.text
    repeated = content_hash(text) in {content_hash(entry.text) for entry in bank if entry.id != target}
    if ruling.kind is OperationKind.UPDATE:
        if not repeated:
            return tuple(_updated(entry, text, fact) if entry.id == target else entry for entry in bank)
        # the store refuses two memories of one text, and the curator then adds the fact
        return apply(bank, Ruling(OperationKind.ADD, text=fact.text), candidates, fact, new_id)
    if repeated:
        return bank
    turns = (fact.turn_id,) if fact.turn_id else ()
    return (*bank, Entry(new_id, text, fact.time, fact.speaker, turns, fact.planted))


def _updated(entry: Entry, text: str, fact: NewFact) -> Entry:
    turns = (*entry.turns, fact.turn_id) if fact.turn_id else entry.turns
    return replace(
        entry,
        text=text,
        time=fact.time or entry.time,
        speaker=fact.speaker,
        turns=tuple(dict.fromkeys(turns)),
        planted=entry.planted or fact.planted,
    )


@dataclass(frozen=True, slots=True)
class Cut:
    """How many memories a question gets: a fixed number `k`, else a preset as in `memory_r1.retrieval.presets`.

    Raises:
        ConfigError: A number is not positive.
    """

    preset: Literal["auto", "paper"] = "auto"
    """`auto`: cut where relevance falls off, within the budget. `paper`: 60, 30 for each of two speakers."""
    k: int | None = None
    budget_tokens: int = 1500
    """Most tokens of memories under `auto`."""

    def __post_init__(self) -> None:
        if (self.k is not None and self.k < 1) or self.budget_tokens < 1:
            raise ConfigError(f"A cut of k={self.k}, budget_tokens={self.budget_tokens} finds nothing.")


class BankSearch:
    """Searches banks with the product's retriever, over stores in memory; a bank seen again is free.

    Args:
        embedder: Embeds memories and questions, each text once.
        max_bytes: Most memory for embeddings, in bytes.
    """

    def __init__(self, embedder: Embedder, *, max_bytes: int = 256 * 2**20) -> None:
        from memory_r1.retrieval.cache import CachedEmbedder

        self.embedder: Embedder = CachedEmbedder(embedder, max_bytes=max_bytes)
        """The embedder, behind a cache by text."""
        self._open: OrderedDict[Bank, tuple[SqliteStore, Retriever]] = OrderedDict()
        self._found: OrderedDict[tuple[int, str, Cut | int], tuple[Bank, tuple[Entry, ...]]] = OrderedDict()

    def for_question(self, bank: Bank, question: str, cut: Cut) -> tuple[Entry, ...]:
        """The memories that the Answer Agent is given for a question, best first."""
        return self._search(bank, question, cut)

    def for_fact(self, bank: Bank, fact: NewFact, count: int) -> tuple[Entry, ...]:
        """The memories that the Memory Manager is given for a fact, in the order in which it sees them."""
        found = self._search(bank, fact.text, WIDER * count)
        return tuple(own_first(found, fact.speaker, lambda entry: entry.speaker, count))

    def close(self) -> None:
        """Close what is open; searching again opens it anew."""
        while self._open:
            self._open.popitem()[1][0].close()
        self._found.clear()

    def _search(self, bank: Bank, query: str, cut: Cut | int) -> tuple[Entry, ...]:
        if not bank:
            return ()
        key = (hash(bank), query, cut)
        known = self._found.get(key)
        if known is not None and known[0] == bank:
            self._found.move_to_end(key)
            return known[1]
        retriever = self._retriever(bank)
        if isinstance(cut, int):
            vector = self.embedder.embed([query])[0]
            hits = retriever.search(SCOPE, query, k=cut, query_vector=vector, exact_bank=True)
        elif cut.k is not None:
            hits = retriever.search(SCOPE, query, k=cut.k)
        else:
            hits = retriever.search(SCOPE, query, preset=cut.preset, budget_tokens=cut.budget_tokens)
        by_id = {entry.id: entry for entry in bank}
        found = tuple(by_id[hit.memory.id] for hit in hits)
        self._found[key] = (bank, found)
        if len(self._found) > _KEPT_RESULTS:
            self._found.popitem(last=False)
        return found

    def _retriever(self, bank: Bank) -> Retriever:
        from memory_r1.retrieval.search import Retriever

        known = self._open.get(bank)
        if known is None:
            store = SqliteStore(":memory:", durable=False)
            try:
                store.bind_embedder(EmbedderIdentity(self.embedder.name, self.embedder.dimension))
                vectors = self.embedder.embed([entry.text for entry in bank])
                store.commit(
                    [
                        Change(OperationKind.ADD, SCOPE, after=entry.record(), vector=vector)
                        for entry, vector in zip(bank, vectors, strict=True)
                    ]
                )
            except BaseException:
                store.close()
                raise
            known = self._open[bank] = (store, Retriever(store, self.embedder))
            if len(self._open) > _OPEN_BANKS:
                self._open.popitem(last=False)[1][0].close()
        self._open.move_to_end(bank)
        return known[1]
