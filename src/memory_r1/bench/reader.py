"""The reader that all our systems share: the Answer Agent, on what a system found, within the limits of the run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from memory_r1.agents.answerer import AnswerAgent, AnswerPrompt, memory_line
from memory_r1.agents.prompts import Prompts
from memory_r1.bank.memory import MemoryRecord, Provenance
from memory_r1.bank.scope import Scope
from memory_r1.bench.kit import ANSWERER, adapter_of
from memory_r1.bench.system import Cost, Kit, SystemAnswer, UsedMemory
from memory_r1.data.conversation import Question
from memory_r1.lm.base import Completion, Message

UNDATED = datetime(2024, 1, 1, tzinfo=UTC)
"""When memories without a time are taken to be written, so that prompts are the same on every day."""

_SCOPE = Scope(run_id="bench")
_LEAD = re.compile(r"^\d+ ")


@dataclass(frozen=True, slots=True)
class Memory:
    """Something that a system remembers, ready for the reader."""

    text: str
    time: datetime | None = None
    """When it was said."""
    speaker: str | None = None
    """Who said it; if exactly two people speak in what the reader is shown, it stands under headings by speaker."""
    turns: tuple[str, ...] = ()
    """Ids of the turns it comes from."""

    def record(self, index: int) -> MemoryRecord:
        """The memory as the Answer Agent takes it."""
        time = self.time or UNDATED
        provenance = Provenance(speaker=self.speaker)
        return MemoryRecord(str(index), _SCOPE, self.text, time, time, event_time=self.time, provenance=provenance)


@dataclass(frozen=True, slots=True)
class Reading:
    """A question, and what was found for it."""

    question: Question
    memories: tuple[Memory, ...]
    """Best first."""
    finding: Cost = field(default_factory=Cost)
    """What finding them took."""


class Reader:
    """Answers questions as the product does: the same prompt, the same parser, greedily.

    Memories beyond `kit.reader_tokens`, counted by the model's own tokenizer, are left out, the last first; one that
    takes more than a quarter of the limit by itself does not push out those behind it. The date of the question is told
    where the data has it, as in training. Without memories the model is asked all the same.

    Args:
        kit: The model, the limits, and the adapter of the answerer if there is one.
        limited: Whether the limit on memories holds; without it all that fit the context window are shown.
        samples: How often each question is answered; see `AnswerAgent.answer`.
    """

    def __init__(self, kit: Kit, *, limited: bool = True, samples: int = 1) -> None:
        self._lm = kit.lm
        self._adapter = adapter_of(kit, ANSWERER)
        self._agent = AnswerAgent(kit.lm, Prompts.load(), adapter=self._adapter, max_tokens=kit.answer_tokens)
        self._samples = samples
        self._limit = kit.reader_tokens if limited else None
        self._frame = kit.lm.count_tokens([Message(role="user", content="")])

    def answer(self, question: Question, memories: Sequence[Memory]) -> SystemAnswer:
        """Answer one question from what was found for it, best first."""
        return self.answer_many([Reading(question, tuple(memories))])[0]

    def answer_many(self, readings: Sequence[Reading]) -> list[SystemAnswer]:
        """Answer questions, each from its own memories, in one batch.

        Raises:
            PromptTooLongError: A question does not fit the context window even by itself.
            ModelError: The model failed.
        """
        shown = [self._fitting(reading.memories) for reading in readings]
        records = [[memory.record(index) for index, memory in enumerate(memories)] for memories in shown]
        prompts = [
            self._agent.prompt(reading.question.text, own, now=reading.question.time)
            for reading, own in zip(readings, records, strict=True)
        ]
        completions = self._agent.complete(prompts, self._samples)
        return [self._told(*one) for one in zip(readings, shown, records, prompts, completions, strict=True)]

    def tokens(self, memory: Memory, index: int = 0) -> int:
        """Tokens that a memory takes in the prompt."""
        line = memory_line(index, memory.record(index)) + "\n"
        return self._lm.count_tokens([Message(role="user", content=line)]) - self._frame

    def prompt_tokens(self, question: Question, memories: Sequence[Memory]) -> int:
        """Tokens of the whole prompt, were all of the memories shown."""
        records = [memory.record(index) for index, memory in enumerate(memories)]
        chat = self._agent.prompt(question.text, records, now=question.time)
        return self._lm.count_tokens(chat.chat) if len(chat.shown) == len(records) else self._lm.context_length

    def _fitting(self, memories: Sequence[Memory]) -> list[Memory]:
        if self._limit is None:
            return list(memories)
        kept: list[Memory] = []
        room = self._limit
        for memory in memories:
            cost = self.tokens(memory, len(kept))
            if cost <= room:
                kept.append(memory)
                room -= cost
            elif cost <= self._limit // 4:
                break
        return kept

    def _told(
        self,
        reading: Reading,
        memories: Sequence[Memory],
        records: Sequence[MemoryRecord],
        prompt: AnswerPrompt,
        completions: Sequence[Completion],
    ) -> SystemAnswer:
        answer = self._agent.settle(prompt, completions, len(memories))
        used = tuple(
            UsedMemory(_LEAD.sub("", memory_line(index, records[index])), memories[index].turns, index in answer.kept)
            for index in prompt.shown
        )
        usage = answer.usage
        cost = Cost(usage.calls, usage.prompt_tokens, usage.completion_tokens, usage.seconds)
        return SystemAnswer(answer.text, used, answer.abstained, reading.finding + cost)
