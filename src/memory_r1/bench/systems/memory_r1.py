"""Memory-R1: the whole product, trained or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from memory_r1.agents.manager import MemoryManager
from memory_r1.agents.prompts import Prompts
from memory_r1.bench.facts import KnownFacts, take_facts
from memory_r1.bench.kit import ANSWERER, EXTRACTOR, MANAGER, adapter_of, positive
from memory_r1.bench.meter import Meter
from memory_r1.bench.product import BankSystem
from memory_r1.bench.system import Cost, Kit
from memory_r1.curator import Curator
from memory_r1.data.conversation import Conversation
from memory_r1.ingest import IngestEvent, ingest


class MemoryR1(BankSystem):
    """Extracts facts, lets the Memory Manager rule on each, and answers from what hybrid retrieval finds.

    Options: `cut`, and `candidates`, the number of memories that the manager sees (3). An add is the facts of one turn:
    its time is the mean time of extracting a turn and that of ruling on its facts.
    """

    name = "memory-r1"
    policies: tuple[str, ...] = (EXTRACTOR, MANAGER, ANSWERER)
    agents = (EXTRACTOR, MANAGER, ANSWERER)
    method = "Memory-R1 as this project implements it: extractor, Memory Manager, hybrid retrieval, Answer Agent."
    options: ClassVar[Mapping[str, str]] = {"candidates": "3"}

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        parts, count = self.parts, positive(self.chosen["candidates"], "candidates")
        adapter = adapter_of(kit, MANAGER)
        manager = MemoryManager(self.lm, Prompts.load(), adapter=adapter, embedder=parts.embedder)
        self._curator = Curator(parts.store, parts.retriever, parts.embedder, manager, candidates=count)

    def ingest(self, conversation: Conversation) -> None:
        """Extract, then decide fact by fact."""
        taken = take_facts(self.kit, conversation)
        self.extracted(taken.cost, len(conversation.turns))
        meter = Meter(self.lm)
        spent: dict[str, Cost] = {}

        def keep(event: IngestEvent) -> None:
            spent[event.turn.id] = spent.get(event.turn.id, Cost()) + meter.lap()
            if event.operation is not None:
                self.note(event.facts[0], event.operation)
            self.kit.on_turns(event.done)

        ingest(conversation, self.scope, KnownFacts(taken), self._curator, on_event=keep)
        for turn in conversation.turns:
            self.added(spent.get(turn.id, Cost()))


class MemoryR1Base(MemoryR1):
    """The same with nothing trained."""

    name = "memory-r1-base"
    policies = ()


class MemoryR1BaseManager(MemoryR1):
    """The same with an untrained manager."""

    name = "memory-r1-base-manager"
    policies = (EXTRACTOR, ANSWERER)


class MemoryR1BaseReader(MemoryR1):
    """The same with an untrained reader."""

    name = "memory-r1-base-reader"
    policies = (EXTRACTOR, MANAGER)
