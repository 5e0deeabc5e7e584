"""Retrieval over turns: the baseline of the LoCoMo paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from memory_r1.agents.calendar_words import day_text
from memory_r1.bench.kit import ANSWERER, policies_told, positive, read_options
from memory_r1.bench.meter import Meter, metered
from memory_r1.bench.reader import Memory, Reader, Reading
from memory_r1.bench.system import Cost, Kit, Stats, SystemAnswer
from memory_r1.data.conversation import Conversation, Question
from memory_r1.rl.retrieved import turn_texts
from memory_r1.told_paths import told_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Rag:
    """Turns with their dates as memories; the `k` nearest to the question by cosine similarity.

    Args:
        kit: What the run works with. The option `k` is how many turns are found (30).
    """

    name = "rag"
    policies: tuple[str, ...] = ()

    def __init__(self, kit: Kit) -> None:
        self._k = positive(read_options(kit, k="30")["k"], "k")
        self._embedder, self._lm = kit.embedder, metered(kit.lm)
        self._reader = Reader(kit)
        self._memories: list[Memory] = []
        self._vectors: NDArray[np.float32] | None = None
        self._ingest = Cost()
        self.about = (
            f"RAG over turns, re-implemented from the LoCoMo paper: the {self._k} turns nearest to the question by "
            f"{told_name(kit.embedder.name)}, dates embedded with them. {policies_told(kit, (ANSWERER,)).capitalize()}."
        )

    def ingest(self, conversation: Conversation) -> None:
        """Embed all turns; a long one in pieces."""
        meter = Meter(self._lm)
        self._memories = [
            Memory(text, turn.time, turn.speaker, (turn.id,))
            for turn in conversation.turns
            for text in turn_texts(turn)
        ]
        dated = [f"({day_text(one.time)}) {one.text}" if one.time else one.text for one in self._memories]
        self._vectors = self._embedder.embed(dated)
        self._ingest += meter.lap()

    def answer(self, question: Question) -> SystemAnswer:
        """Answer one question."""
        return self.answer_many([question])[0]

    def answer_many(self, questions: Sequence[Question]) -> list[SystemAnswer]:
        """Answer questions in one batch."""
        return self._reader.answer_many([self._find(question) for question in questions])

    def stats(self) -> Stats:
        """Every piece of a turn is an entry. Turns are embedded in one batch, so no single add is timed."""
        characters = sum(len(memory.text) for memory in self._memories)
        return Stats(len(self._memories), characters, {"ADD": len(self._memories)}, self._ingest)

    def _find(self, question: Question) -> Reading:
        meter = Meter(self._lm)
        assert self._vectors is not None, "nothing was ingested"
        # similar to the last digit: the earlier turn, on every machine
        likeness = (self._vectors @ self._embedder.embed([question.text])[0]).round(5)
        best = (-likeness).argsort(kind="stable")[: self._k]
        return Reading(question, tuple(self._memories[place] for place in best), meter.lap())
