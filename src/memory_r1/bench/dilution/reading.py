"""The product's reader on what a bank returned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from memory_r1.bench.dilution.probe import CutName, Reading
from memory_r1.bench.reader import Memory, Reader
from memory_r1.bench.reader import Reading as Asked
from memory_r1.bench.scores import score_all

if TYPE_CHECKING:
    from memory_r1.bench.dilution.bank import Found, Search
    from memory_r1.bench.system import Kit
    from memory_r1.data.conversation import Question


class DilutedReader:
    """Answers as `rag-hybrid` does from the dynamic cut, and from all of the fixed cut that fits the context window.

    Args:
        kit: Model, limits, and the answerer's adapter if there is one.
    """

    def __init__(self, kit: Kit) -> None:
        self._readers = {"dynamic": Reader(kit), "fixed": Reader(kit, limited=False)}

    def read(self, questions: Sequence[Question], searches: Sequence[Search], cut: CutName) -> list[Reading]:
        """Answer questions from what a search found for each.

        Raises:
            ModelError: The model failed.
        """
        asked = [
            Asked(question, tuple(_memory(found) for found in search.found))
            for question, search in zip(questions, searches, strict=True)
        ]
        return [
            Reading(
                answer=answer.text,
                abstained=answer.abstained,
                prompt_tokens=answer.cost.prompt_tokens,
                scores=score_all(question.category, answer.text, question.answer, abstained=answer.abstained),
            )
            for question, answer in zip(questions, self._readers[cut].answer_many(asked), strict=True)
        ]


def _memory(found: Found) -> Memory:
    memory = found.hit.memory
    return Memory(memory.text, memory.event_time, memory.provenance.speaker, found.turns)
