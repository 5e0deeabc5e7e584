"""No memory at all: what the model answers to the question alone."""

from __future__ import annotations

from collections.abc import Sequence

from memory_r1.bench.kit import ANSWERER, policies_told, read_options
from memory_r1.bench.reader import Reader, Reading
from memory_r1.bench.system import Kit, Stats, SystemAnswer
from memory_r1.data.conversation import Conversation, Question


class NoMemory:
    """Reads nothing and answers from the question.

    Args:
        kit: What the run works with; there are no options.
    """

    name = "none"
    policies: tuple[str, ...] = ()

    def __init__(self, kit: Kit) -> None:
        read_options(kit)
        told = policies_told(kit, (ANSWERER,))
        self.about = f"No memory: the reader is shown the question alone. {told.capitalize()}."
        self._reader = Reader(kit)

    def ingest(self, conversation: Conversation) -> None:
        """Reads nothing."""

    def answer(self, question: Question) -> SystemAnswer:
        """Answer one question."""
        return self.answer_many([question])[0]

    def answer_many(self, questions: Sequence[Question]) -> list[SystemAnswer]:
        """Answer questions in one batch."""
        return self._reader.answer_many([Reading(question, ()) for question in questions])

    def stats(self) -> Stats:
        """Nothing is kept."""
        return Stats()
