"""The frozen Answer Agent that a Memory Manager's reward comes from. The same question on the same memories is free."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from memory_r1.agents.answerer import AnswerAgent, memory_line
from memory_r1.agents.results import Answer
from memory_r1.rl.bank_state import Entry

_KEPT_ANSWERS = 200_000


@dataclass(frozen=True, slots=True)
class Ask:
    """A question and what the reader may rest its answer on."""

    question: str
    memories: tuple[Entry, ...]
    now: datetime | None = None
    """When it is asked, if it matters."""


class FrozenReader:
    """Answers questions greedily, and each combination of question and memories once.

    Args:
        answerer: The agent; its policy must not change while this lives.
        batch: Most prompts handed to the model at once.
    """

    def __init__(self, answerer: AnswerAgent, *, batch: int = 32) -> None:
        self._answerer = answerer
        self._batch = batch
        self._known: OrderedDict[tuple[str, ...], Answer] = OrderedDict()
        self.asked = 0
        """Answers that the model had to give."""

    def forget(self) -> None:
        """Drop all answers, because the agent's policy has changed."""
        self._known.clear()

    def answer(self, asks: Sequence[Ask]) -> list[Answer]:
        """Answer questions.

        Raises:
            ModelError: The model failed; nothing of the failed batch is kept, and no answer is made up for it.
        """
        keys = [_key(ask) for ask in asks]
        missing = {key: ask for key, ask in zip(keys, asks, strict=True) if key not in self._known}
        # what is looked up below must not be pushed out by what comes in
        answers = {key: self._known[key] for key in keys if key in self._known}
        by_time: defaultdict[datetime | None, list[tuple[tuple[str, ...], Ask]]] = defaultdict(list)
        for key, ask in missing.items():
            by_time[ask.now].append((key, ask))
        for now, group in by_time.items():
            for start in range(0, len(group), self._batch):
                part = group[start : start + self._batch]
                given = self._answerer.answer_many(
                    [(ask.question, [entry.record() for entry in ask.memories]) for _, ask in part], now=now
                )
                self.asked += sum(bool(ask.memories) for _, ask in part)
                for (key, _), answer in zip(part, given, strict=True):
                    answers[key] = self._known[key] = answer
        while len(self._known) > _KEPT_ANSWERS:
            self._known.popitem(last=False)
        return [answers[key] for key in keys]


def _key(ask: Ask) -> tuple[str, ...]:
    day = ask.now.date().isoformat() if ask.now else ""
    return (ask.question, day, *(memory_line(0, entry.record()) for entry in ask.memories))
