"""How a rival answers: with the prompt of its own method, or with this project's Answer Agent on its memories."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from memory_r1.agents.answer_parser import parse_answer
from memory_r1.agents.answerer import AnswerAgent, memory_line
from memory_r1.agents.calendar_words import day_text
from memory_r1.agents.prompts import Prompt, Prompts
from memory_r1.agents.results import Answer
from memory_r1.bank.memory import MemoryRecord, Provenance
from memory_r1.bank.scope import Scope
from memory_r1.bench.baselines.entries import Entry
from memory_r1.bench.baselines.model import Model, cost_of
from memory_r1.bench.system import Cost, Kit, SystemAnswer, UsedMemory
from memory_r1.data.conversation import Question
from memory_r1.errors import ConfigError

OWN, ANSWER_AGENT = "own", "answer-agent"
_NO_DATE = "undated"
_UNDATED = datetime(2000, 1, 1, tzinfo=UTC)
"""What the Answer Agent, which must have a date, is shown where the data have none."""
_MOST_WORDS = 24
"""Of an answer; the same limit as the Answer Agent's."""


_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Found:
    """Something a rival found for a question."""

    entry: Entry
    line: str
    """As its own reader sees it."""
    group: str = ""
    """Heading it stands under there, for methods that have such."""


Layout = Callable[[Sequence[Found]], Mapping[str, str]]
"""From what fits the reader's limit to the values of the prompt's placeholders, the question's left out."""


def when(time_: datetime | None) -> str:
    """The day of an entry in words.

    Example:
        >>> when(None)
        'undated'
    """
    return day_text(time_) if time_ else _NO_DATE


class Reader:
    """Answers questions from what a rival found, within the limits of the run.

    `Kit.options["reader"]` says how: `own` (the default) or `answer-agent`, which is the Answer Agent with the adapter
    of the run, if it has one. In both cases at most `Kit.reader_tokens` of memories are shown, best first; one that
    would take more than half of that is cut at its end.

    Args:
        kit: The run's.
        model: Its language model.
        prompt: The method's own answer prompt; it holds `$question`.
        layout: Fills the rest of it.

    Raises:
        ConfigError: The option names no reader.
    """

    def __init__(self, kit: Kit, model: Model, prompt: Prompt, layout: Layout) -> None:
        self._kit, self._model, self._prompt, self._layout = kit, model, prompt, layout
        self._kind = kit.options.get("reader", OWN)
        if self._kind not in (OWN, ANSWER_AGENT):
            raise ConfigError(f"There is no reader {self._kind!r}.", hint=f"Use {OWN} or {ANSWER_AGENT}.")

    def answer(self, questions: Sequence[Question], found: Sequence[Sequence[Found]]) -> list[SystemAnswer]:
        """Answer each question from what was found for it, best first.

        Costs cover this step alone.
        """
        started = time.perf_counter()
        answers = self._by_agent(questions, found) if self._kind == ANSWER_AGENT else self._own(questions, found)
        share = (time.perf_counter() - started) / max(1, len(questions))
        return [SystemAnswer(one.text, one.memories, one.abstained, one.cost + Cost(seconds=share)) for one in answers]

    def _own(self, questions: Sequence[Question], found: Sequence[Sequence[Found]]) -> list[SystemAnswer]:
        shown = [self._cut_lines(items) for items in found]
        rows = [
            {**self._layout(items), "question": question.text} for question, items in zip(questions, shown, strict=True)
        ]
        answers = []
        completions = self._model.ask(self._prompt, rows, max_tokens=self._kit.answer_tokens)
        for items, completion in zip(shown, completions, strict=True):
            text, abstained = read_answer(completion.text)
            used = tuple(UsedMemory(item.line, item.entry.turns) for item in items)
            answers.append(SystemAnswer(text, used, abstained, cost_of([completion])))
        return answers

    def _by_agent(self, questions: Sequence[Question], found: Sequence[Sequence[Found]]) -> list[SystemAnswer]:
        agent = AnswerAgent(
            self._model.lm,
            Prompts.load(),
            adapter="answerer" if "answerer" in self._kit.adapters else None,
            max_tokens=self._kit.answer_tokens,
        )
        shown = [self._records(items) for items in found]
        answers: dict[int, Answer] = {}
        for now in dict.fromkeys(question.time for question in questions):
            places = [place for place, question in enumerate(questions) if question.time == now]
            batch = [(questions[place].text, [record for _, record in shown[place]]) for place in places]
            answers.update(zip(places, agent.answer_many(batch, now=now), strict=True))
        return [_agent_answer(answers[place], memories) for place, memories in enumerate(shown)]

    def _cut_lines(self, items: Sequence[Found]) -> list[Found]:
        cut = [Found(item.entry, self._half(item.line), item.group) for item in items]
        return self._within_limit(cut, [item.line for item in cut])

    def _half(self, text: str) -> str:
        return self._model.shortened([text], self._kit.reader_tokens // 2)[0]

    def _records(self, items: Sequence[Found]) -> list[tuple[Found, MemoryRecord]]:
        records = [_record(number, item.entry, self._half(item.entry.text)) for number, item in enumerate(items)]
        lines = [memory_line(number, record) for number, record in enumerate(records)]
        return self._within_limit(list(zip(items, records, strict=True)), lines)

    def _within_limit(self, items: Sequence[_Item], lines: Sequence[str]) -> list[_Item]:
        shown, room = [], self._kit.reader_tokens
        for item, line in zip(items, lines, strict=True):
            # a line break costs one
            size = self._model.tokens(line) + 1
            if size <= room:
                shown.append(item)
                room -= size
        return shown


def read_answer(completion: str) -> tuple[str, bool]:
    r"""The short answer in a completion, and whether it abstains; by the rules that hold for the Answer Agent too.

    Example:
        >>> read_answer("In Rome.\n\nQuestion: Where"), read_answer("Answer: Not mentioned")
        (('In Rome.', False), ('No information available.', True))
    """
    marked = completion if "answer:" in completion.lower() else f"**Answer:** {completion}"
    parsed = parse_answer(marked, shown=(), max_words=_MOST_WORDS)
    return parsed.text, parsed.abstained


def _record(number: int, entry: Entry, text: str) -> MemoryRecord:
    time_ = entry.time or _UNDATED
    return MemoryRecord(
        id=str(number),
        scope=Scope(user_id="rival"),
        text=text,
        created_at=time_,
        updated_at=time_,
        event_time=entry.time,
        provenance=Provenance(speaker=entry.speaker or None),
    )


def _agent_answer(answer: Answer, memories: Sequence[tuple[Found, MemoryRecord]]) -> SystemAnswer:
    used = tuple(
        UsedMemory(memory_line(number, record), item.entry.turns, kept=number in answer.kept)
        for number, (item, record) in enumerate(memories)
    )
    usage = answer.usage
    cost = Cost(usage.calls, usage.prompt_tokens, usage.completion_tokens)
    return SystemAnswer(answer.text, used, answer.abstained, cost)
