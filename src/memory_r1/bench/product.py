"""The product's own bank and retrieval, as a base for systems that differ in what they write into the bank."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from memory_r1.bank.fact import Fact
from memory_r1.bank.memory import content_hash
from memory_r1.bank.operation import Operation, OperationKind
from memory_r1.bank.scope import Scope
from memory_r1.bench.kit import AGENTS, ANSWERER, policies_told, positive, read_options
from memory_r1.bench.meter import Meter, metered
from memory_r1.bench.reader import Memory, Reader, Reading
from memory_r1.bench.system import Cost, Kit, Stats, SystemAnswer
from memory_r1.config import Settings
from memory_r1.data.conversation import Conversation, Question
from memory_r1.parts import Parts, build_parts
from memory_r1.retrieval.presets import PRESETS, check_preset

if TYPE_CHECKING:
    from memory_r1.retrieval.search import Hit


class BankSystem(ABC):
    """A system with one bank of the product for a conversation. Subclasses write into it in `ingest`.

    One bank holds what all speakers said. Questions are answered from what the product's hybrid retrieval finds. The
    option `cut` says how many memories that are: `auto` (the product's default), `paper` (60, an even share for each
    speaker), or a number. The option `samples` is how often the Answer Agent answers each; see `AnswerAgent.answer`.

    Args:
        kit: What the run works with.
    """

    name = ""
    policies: tuple[str, ...] = ()
    """Agents whose adapters count for this system if they are given without naming a system."""
    agents: tuple[str, ...] = (ANSWERER,)
    """Agents that this system has."""
    method = ""
    """What it is, in a sentence."""
    options: ClassVar[Mapping[str, str]] = {}
    """Its options besides `cut` and `samples`, with their defaults."""

    def __init__(self, kit: Kit) -> None:
        self.chosen = read_options(kit, cut="auto", samples="1", **self.options)
        self._cut = _read_cut(self.chosen["cut"])
        self.kit = replace(kit, lm=metered(kit.lm))
        self.lm = metered(self.kit.lm)
        self.about = f"{self.method} {_sentence(policies_told(kit, self.agents))} {_told(self.chosen)}"
        self.parts = self._build()
        self.scope = Scope(user_id="speakers")
        self._reader = Reader(self.kit, samples=positive(self.chosen["samples"], "samples"))
        self._turns: defaultdict[str, list[str]] = defaultdict(list)
        self._operations: defaultdict[str, int] = defaultdict(int)
        self._ingest = Cost()
        self._add_seconds: list[float] = []
        self._extracting = 0.0

    @abstractmethod
    def ingest(self, conversation: Conversation) -> None:
        """Read all sessions, oldest first."""

    def answer(self, question: Question) -> SystemAnswer:
        """Answer one question."""
        return self.answer_many([question])[0]

    def answer_many(self, questions: Sequence[Question]) -> list[SystemAnswer]:
        """Answer questions in one batch."""
        return self._reader.answer_many([self._find(question) for question in questions])

    def stats(self) -> Stats:
        """What the bank has come to."""
        texts = [memory.text for memory in self.parts.store.memories(self.scope)]
        return Stats(len(texts), sum(map(len, texts)), dict(self._operations), self._ingest, tuple(self._add_seconds))

    def close(self) -> None:
        """Close the store; the models are the run's."""
        self.parts.store.close()

    def note(self, fact: Fact, operation: Operation) -> None:
        """Count an operation, and keep which turn the memory comes from.

        A memory comes from the turns of every fact that made or changed it, and of a fact that said word for word the
        same. A NOOP that merely names a memory adds no turn: the memory need not say what the turn said.
        """
        self._operations[operation.kind.value] += 1
        told = operation.after
        if told is None or operation.memory_id is None or fact.provenance.turn_id is None:
            return
        wrote = operation.kind in (OperationKind.ADD, OperationKind.UPDATE)
        same = operation.kind is OperationKind.NOOP and content_hash(fact.text) == content_hash(told.text)
        if wrote or same:
            self._turns[operation.memory_id].append(fact.provenance.turn_id)

    def add_facts(self, facts: Sequence[Fact]) -> None:
        """ADD what one turn says as it is, in one transaction."""
        meter = Meter(self.lm)
        if facts:
            for fact, operation in zip(facts, self.parts.curator.add_raw(facts, self.scope), strict=True):
                self.note(fact, operation)
        self.added(meter.lap())
        self.kit.on_turns(len(self._add_seconds))

    def extracted(self, cost: Cost, turns: int) -> None:
        """Keep what extracting a conversation took; its seconds count for each of its turns alike."""
        self._ingest += cost
        self._extracting = cost.seconds / max(1, turns)

    def added(self, cost: Cost) -> None:
        """Keep what writing one turn's facts took: one add, together with the turn's part of extracting."""
        self._ingest += cost
        self._add_seconds.append(cost.seconds + self._extracting)

    def _find(self, question: Question) -> Reading:
        meter = Meter(self.lm)
        preset, k = self._cut
        hits = self.parts.retriever.search(
            self.scope, question.text, k=k, preset=preset, budget_tokens=None if k else self.kit.reader_tokens
        )
        return Reading(question, tuple(self._memory(hit) for hit in hits), meter.lap())

    def _memory(self, hit: Hit) -> Memory:
        turns = tuple(dict.fromkeys(self._turns[hit.memory.id]))
        return Memory(hit.memory.text, hit.memory.event_time, hit.memory.provenance.speaker, turns)

    def _build(self) -> Parts:
        # every field is named, so that the settings of whoever runs the benchmark do not reach it
        defaults = {name: field.get_default(call_default_factory=True) for name, field in Settings.model_fields.items()}
        adapters = {agent: folder for agent, folder in self.kit.adapters.items() if agent in AGENTS}
        store = str(self.kit.folder / "memory.db")
        chosen = {"adapters": adapters, "store": store, "durable": False}
        settings = Settings(**{**defaults, **chosen})
        return build_parts(settings, embedder=self.kit.embedder, lm=self.lm)


def _read_cut(value: str) -> tuple[str | None, int | None]:
    if value in PRESETS:
        return check_preset(value), None
    return None, positive(value, "cut")


def _told(options: Mapping[str, str]) -> str:
    often = "" if options["samples"] == "1" else f", samples={options['samples']}"
    return f"Option cut={options['cut']}{often}."


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
