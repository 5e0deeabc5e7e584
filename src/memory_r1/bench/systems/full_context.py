"""The whole conversation in the prompt, as far as the model's context window goes."""

from __future__ import annotations

from collections.abc import Sequence

from memory_r1.bench.kit import ANSWERER, policies_told, positive, read_options
from memory_r1.bench.reader import Memory, Reader, Reading
from memory_r1.bench.system import Kit, Stats, SystemAnswer
from memory_r1.data.conversation import Conversation, Question
from memory_r1.rl.retrieved import turn_texts

_QUESTION_TOKENS = 128
"""Kept free for the question, so that nearly all questions share one beginning of their prompts."""


class FullContext:
    """Shows the reader every turn in order; of a longer conversation the newest turns that fit.

    Args:
        kit: What the run works with. The option `tokens` is how many the prompt and the answer may have together, at
            most and by default the model's context window. `kit.reader_tokens` does not hold here.
    """

    name = "full-context"
    policies: tuple[str, ...] = ()

    def __init__(self, kit: Kit) -> None:
        window = kit.lm.context_length
        self._tokens = min(window, positive(read_options(kit, tokens=str(window))["tokens"], "tokens"))
        self._kit = kit
        self._reader = Reader(kit, limited=False)
        self._memories: list[Memory] = []
        self._turns = self._cut = 0
        self.about = (
            f"Full context: all turns in order, of a longer conversation the newest that fit {self._tokens} tokens "
            "with the answer; the operations READ and CUT count the turns read, and those of them that did not fit. "
            f"{policies_told(kit, (ANSWERER,)).capitalize()}."
        )

    def ingest(self, conversation: Conversation) -> None:
        """Keep the turns that fit."""
        # who spoke stands in the text: under a heading for each speaker the talk would lose its order
        memories = [
            Memory(text, turn.time, None, (turn.id,)) for turn in conversation.turns for text in turn_texts(turn)
        ]
        frame = self._reader.prompt_tokens(Question("", "?", None), ())
        room = self._tokens - self._kit.answer_tokens - frame - _QUESTION_TOKENS
        first = len(memories)
        # lines are numbered, and a number of many digits may be a token more
        while first and room >= (cost := self._reader.tokens(memories[first - 1], len(memories))):
            first, room = first - 1, room - cost
        self._memories = memories[first:]
        self._turns = len(conversation.turns)
        self._cut = self._turns - len({memory.turns[0] for memory in self._memories})

    def answer(self, question: Question) -> SystemAnswer:
        """Answer one question."""
        return self.answer_many([question])[0]

    def answer_many(self, questions: Sequence[Question]) -> list[SystemAnswer]:
        """Answer questions in one batch."""
        return self._reader.answer_many([Reading(question, self._fitting(question)) for question in questions])

    def stats(self) -> Stats:
        """The turns that are shown; operations: how many were read, and how many of those were cut off."""
        characters = sum(len(memory.text) for memory in self._memories)
        return Stats(len(self._memories), characters, {"READ": self._turns, "CUT": self._cut})

    def _fitting(self, question: Question) -> tuple[Memory, ...]:
        """All kept turns, or fewer if the question is very long; the oldest go."""
        shown, room = self._memories, self._tokens - self._kit.answer_tokens
        while shown and self._reader.prompt_tokens(question, shown) > room:
            shown = shown[max(1, len(shown) // 50) :]
        return tuple(shown)
