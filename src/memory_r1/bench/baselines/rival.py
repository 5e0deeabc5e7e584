"""What all re-implemented rivals share: the protocol of a system, with every call and second counted."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from memory_r1.agents.json_object import first_object
from memory_r1.agents.prompts import Prompt
from memory_r1.agents.text import clean
from memory_r1.bench.baselines.model import Model, cost_of
from memory_r1.bench.baselines.reader import Found, Reader
from memory_r1.bench.system import Cost, Kit, Stats, SystemAnswer
from memory_r1.data.conversation import Conversation, Question, Turn

REJECTED = "REJECTED"
"""Kind of operation under which completions are counted that could not be used."""


class Rival(ABC):
    """A memory system whose method is re-implemented here. One instance reads one conversation.

    What the model writes is data: an unusable completion is counted under `REJECTED` and falls back as the method's own
    code does; it never raises. A model that fails raises through.

    Args:
        kit: What the run works with.
    """

    name: str
    about: str

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.model = Model(kit.lm)
        self._reader = self._make_reader()
        self._operations: Counter[str] = Counter()
        self._ingest = Cost()
        self._add_seconds: list[float] = []
        self._places: dict[str, int] = {}

    def ingest(self, conversation: Conversation) -> None:
        """Read all sessions, oldest first."""
        started = time.perf_counter()
        self._places = {turn.id: place for place, turn in enumerate(conversation.turns, start=1)}
        self._read(conversation)
        self._ingest += Cost(seconds=time.perf_counter() - started)

    def answer(self, question: Question) -> SystemAnswer:
        """Answer one question. The memory stays as it was."""
        return self.answer_many([question])[0]

    def answer_many(self, questions: Sequence[Question]) -> list[SystemAnswer]:
        """Answer questions in one batch."""
        started = time.perf_counter()
        found = self._find(questions)
        share = Cost(seconds=(time.perf_counter() - started) / max(1, len(questions)))
        answers = self._reader.answer(questions, [items for items, _ in found])
        return [
            SystemAnswer(one.text, one.memories, one.abstained, one.cost + cost + share)
            for one, (_, cost) in zip(answers, found, strict=True)
        ]

    def stats(self) -> Stats:
        """What reading has come to."""
        texts = list(self._bank())
        return Stats(len(texts), sum(map(len, texts)), dict(self._operations), self._ingest, tuple(self._add_seconds))

    @abstractmethod
    def _make_reader(self) -> Reader:
        """The reader with the method's own answer prompt."""

    @abstractmethod
    def _read(self, conversation: Conversation) -> None:
        """Fill the memory."""

    @abstractmethod
    def _find(self, questions: Sequence[Question]) -> list[tuple[list[Found], Cost]]:
        """What the method finds for each question, best first, and what its calls took (seconds left out)."""

    @abstractmethod
    def _bank(self) -> Iterable[str]:
        """Texts of all live entries."""

    def _ask(
        self, prompt: Prompt, rows: Sequence[Mapping[str, str]], *, max_tokens: int, json_object: bool = False
    ) -> list[str]:
        """Completions while reading a conversation; they are added to its cost."""
        completions = self.model.ask(prompt, rows, max_tokens=max_tokens, json_object=json_object)
        self._ingest += cost_of(completions)
        return [clean(one.text) for one in completions]

    def _done(self, kind: str) -> None:
        """Count an operation."""
        self._operations[kind] += 1

    @contextmanager
    def _adding(self, last: str, extra: float = 0.0) -> Iterator[None]:
        """Time an add.

        Args:
            last: Id of its last turn.
            extra: Its share, in seconds, of what was done for several together.
        """
        started = time.perf_counter()
        yield
        self._add_seconds.append(time.perf_counter() - started + extra)
        self.kit.on_turns(self._places[last])

    def _ask_together(
        self, prompt: Prompt, rows: Sequence[Mapping[str, str]], *, max_tokens: int
    ) -> tuple[list[str], float]:
        """JSON completions for many adds in one batch, and each add's share of the wall time in seconds."""
        started = time.perf_counter()
        replies = self._ask(prompt, rows, max_tokens=max_tokens, json_object=True)
        return replies, (time.perf_counter() - started) / max(1, len(rows))


def said(turn: Turn) -> str:
    """What a turn says, the caption of a shared picture included.

    Example:
        >>> said(Turn("D1:1", "Ann", "Look!", image_caption="a red car"))
        'Look! [shared image: a red car]'
    """
    return f"{turn.text} [shared image: {turn.image_caption}]" if turn.image_caption else turn.text


def json_fields(completion: str) -> Mapping[str, object] | None:
    """The first JSON object in a completion, read leniently; None if there is none."""
    found = first_object(completion)
    return found if isinstance(found, dict) else None


def text_list(value: object) -> list[str]:
    """The non-empty texts of a list that a model wrote; one text counts as a list of it, anything else is empty.

    Example:
        >>> text_list(["tea", 3, " "]), text_list("tea"), text_list(None)
        (['tea', '3'], ['tea'], [])
    """
    items = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    texts = [clean(str(item)) for item in items if isinstance(item, str | int | float)]
    return [text for text in texts if text]
