"""The Answer Agent: first distils the memories that bear on a question, then answers from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from memory_r1.agents.answer_parser import ABSTENTION, parse_answer
from memory_r1.agents.calendar_words import day_text
from memory_r1.agents.consensus import agreements
from memory_r1.agents.joining import newest_first
from memory_r1.agents.policy import policy_name, usage_of
from memory_r1.agents.prompts import Prompts
from memory_r1.agents.recall import CLOSE_MARK, OPEN_MARK
from memory_r1.agents.results import Answer, Usage
from memory_r1.agents.text import clean, quote
from memory_r1.bank.memory import MemoryRecord
from memory_r1.errors import PromptTooLongError
from memory_r1.lm.base import Completion, LanguageModel, Message, Sampling

# of the samples beside the greedy answer
_TEMPERATURE = 0.7
_SEED = 0


@dataclass(frozen=True, slots=True)
class AnswerPrompt:
    """What the model is asked."""

    chat: list[Message]
    shown: tuple[int, ...]
    """Indices of the memories that fit; each stands in the prompt under its index."""


class AnswerAgent:
    """Answers questions from memories, and abstains when they do not say.

    Args:
        lm: The model.
        prompts: Its instructions.
        adapter: LoRA adapter that makes it a trained policy; None is the base model.
        max_tokens: Most tokens of a completion: the numbers of the distilled memories and the answer.
        max_words: A longer answer is cut.
    """

    def __init__(
        self,
        lm: LanguageModel,
        prompts: Prompts,
        *,
        adapter: str | None = None,
        max_tokens: int = 96,
        max_words: int = 24,
    ) -> None:
        self._lm = lm
        self._prompt = prompts.answer
        self._adapter = adapter
        self._max_tokens = max_tokens
        self._max_words = max_words
        self.policy = policy_name(lm, adapter)

    def answer(
        self, question: str, memories: Sequence[MemoryRecord], *, now: datetime | None = None, samples: int = 1
    ) -> Answer:
        """Answer one question.

        Args:
            question: The question.
            memories: What was found for it, best first; the last are left out if the context window is too small.
            now: When the question is asked, if it matters.
            samples: Answer so often, and give the answer that the others agree with most; see `Answer.agreement`.

        Returns:
            The answer; an abstention if the memories do not say. Without memories, no model is asked.

        Raises:
            PromptTooLongError: Not even the question alone fits the context window.
            EndpointError: A remote model failed for good.
        """
        return self.answer_many([(question, memories)], now=now, samples=samples)[0]

    def answer_many(
        self,
        problems: Sequence[tuple[str, Sequence[MemoryRecord]]],
        *,
        now: datetime | None = None,
        samples: int = 1,
    ) -> list[Answer]:
        """Answer several questions, each from its own memories, in one batch."""
        asked = {
            index: self.prompt(question, memories, now=now)
            for index, (question, memories) in enumerate(problems)
            if memories
        }
        given = self.complete(list(asked.values()), samples) if asked else []
        answers = [Answer(ABSTENTION, (), abstained=True) for _ in problems]
        for (index, prompt), completions in zip(asked.items(), given, strict=True):
            answers[index] = self.settle(prompt, completions, len(problems[index][1]))
        return answers

    def complete(self, prompts: Sequence[AnswerPrompt], samples: int = 1) -> list[list[Completion]]:
        """Let the model answer each prompt: greedily, and beyond one sample at a temperature of 0.7.

        Returns:
            For each prompt its completions, the greedy one first.
        """
        greedy = self._lm.complete(
            [prompt.chat for prompt in prompts], Sampling(max_tokens=self._max_tokens), adapter=self._adapter
        )
        further = samples - 1
        if further < 1:
            return [[completion] for completion in greedy]
        drawn = self._lm.complete(
            [prompt.chat for prompt in prompts for _ in range(further)],
            Sampling(max_tokens=self._max_tokens, temperature=_TEMPERATURE, seed=_SEED),
            adapter=self._adapter,
        )
        return [[one, *drawn[place * further : (place + 1) * further]] for place, one in enumerate(greedy)]

    def settle(self, prompt: AnswerPrompt, completions: Sequence[Completion], count: int) -> Answer:
        """Turn the completions of a prompt into the answer that the others agree with most; the first of equals.

        Args:
            prompt: What was asked.
            completions: What the model wrote, one or more.
            count: How many memories there were before some were left out.
        """
        answers = [self.read(prompt, completion, count) for completion in completions]
        if len(answers) == 1:
            return answers[0]
        shares = agreements([answer.text for answer in answers])
        best = max(range(len(answers)), key=lambda place: shares[place])
        usage = sum((answer.usage for answer in answers), Usage())
        return replace(answers[best], agreement=shares[best], usage=usage)

    def prompt(self, question: str, memories: Sequence[MemoryRecord], *, now: datetime | None = None) -> AnswerPrompt:
        """Render the prompt with as many of the best memories as fit.

        Raises:
            PromptTooLongError: Not even the question alone fits.
        """
        budget = self._lm.context_length - self._max_tokens
        shown = list(range(len(memories)))
        chat = self._render(question, memories, shown, now)
        if self._lm.count_tokens(chat) > budget:
            shown = self._fitting(question, memories, now, budget)
            chat = self._render(question, memories, shown, now)
        return AnswerPrompt(chat, tuple(shown))

    def read(self, prompt: AnswerPrompt, completion: Completion, count: int) -> Answer:
        """Turn a completion into an answer.

        Args:
            prompt: What was asked.
            completion: What the model wrote.
            count: How many memories there were before some were left out.
        """
        parsed = parse_answer(completion.text, shown=prompt.shown, max_words=self._max_words)
        return Answer(
            text=parsed.text,
            kept=parsed.kept,
            abstained=parsed.abstained,
            raw=completion.text,
            usage=usage_of(completion),
            dropped=count - len(prompt.shown),
        )

    def _fitting(self, question: str, memories: Sequence[MemoryRecord], now: datetime | None, budget: int) -> list[int]:
        room = budget - self._lm.count_tokens(self._render(question, memories, [], now))
        if room < 0:
            raise PromptTooLongError(
                "The question does not fit the model's context window.", hint="Ask a shorter question."
            )
        empty = self._lm.count_tokens([Message(role="user", content="")])
        shown: list[int] = []
        for index, memory in enumerate(memories):
            cost = self._lm.count_tokens([Message(role="user", content=memory_line(index, memory) + "\n")]) - empty
            # one huge memory must not push out those behind it
            if cost <= room:
                shown.append(index)
                room -= cost
            elif cost <= budget // 4:
                break
        # tokens do not add up exactly where lines meet, and speakers' headings cost some too
        while shown and self._lm.count_tokens(self._render(question, memories, shown, now)) > budget:
            shown.pop()
        return shown

    def _render(
        self, question: str, memories: Sequence[MemoryRecord], shown: Sequence[int], now: datetime | None
    ) -> list[Message]:
        return self._prompt.render(
            memories=memory_lines(memories, shown),
            question=quote(question),
            today=f"Today: {day_text(now)}\n" if now else "",
        )


def memory_line(index: int, memory: MemoryRecord, *, named: bool = True) -> str:
    """One memory as the model sees it, e.g. `3 (8 May 2023) Ann: "Ann lives in Rome."`; the speaker only if `named`."""
    said_by = f" {_speaker(memory)}:" if named and _speaker(memory) else ""
    return f"{index} ({day_text(memory.event_time or memory.created_at)}){said_by} {quote(newest_first(memory.text))}"


def memory_lines(memories: Sequence[MemoryRecord], shown: Sequence[int] | None = None) -> str:
    """Memories as the model sees them, one a line; under a heading per speaker if exactly two spoke.

    Args:
        memories: The memories.
        shown: Indices of those to show; None: all. A memory keeps its index whatever is left out.
    """
    indices = range(len(memories)) if shown is None else shown
    speakers = list(dict.fromkeys(_speaker(memories[index]) for index in indices))
    if len(speakers) != 2 or "" in speakers:
        return "\n".join(memory_line(index, memories[index]) for index in indices)
    blocks = []
    for speaker in speakers:
        own = [
            memory_line(index, memories[index], named=False)
            for index in indices
            if _speaker(memories[index]) == speaker
        ]
        blocks.append("\n".join([f"From {speaker}:", *own]))
    return "\n".join(blocks)


def recalled_block(memories: Sequence[MemoryRecord]) -> str:
    """Memories between marks, for a program's own prompt: the extractor knows the block again and does not store it."""
    return f"{OPEN_MARK}\n{memory_lines(memories)}\n{CLOSE_MARK}"


def _speaker(memory: MemoryRecord) -> str:
    # a name is data too: one line, and no token of a chat template
    return quote(" ".join(clean(memory.provenance.speaker or "").split())[:80])[1:-1]
