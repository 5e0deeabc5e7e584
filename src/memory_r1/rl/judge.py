"""An answer judged right or wrong by a language model, as the `judge` term of a reward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from memory_r1.agents.json_object import first_object
from memory_r1.agents.text import quote
from memory_r1.errors import ModelError
from memory_r1.lm.base import LanguageModel, Message, Sampling

_TASK = (
    "You grade answers. Given a question, the gold answer and a given answer, decide whether the given one is right. "
    "Be generous: it is right if it is about the same thing as the gold answer, however long, and if a date means the "
    'same time in whatever form. Write one JSON object: {"label":"CORRECT"} or {"label":"WRONG"}.'
)


class Judge(Protocol):
    """Grades answers."""

    def grade(self, graded: Sequence[tuple[str, str, str]]) -> list[float]:
        """Grade (question, gold answer, given answer), each between 0 and 1.

        Raises:
            ModelError: The model failed, or its verdict cannot be read; never a zero.
        """
        ...


class LmJudge:
    """A judge that asks a language model, greedily. Each answer is judged once.

    Args:
        lm: The model; any `LanguageModel`, an endpoint as a rule.
    """

    def __init__(self, lm: LanguageModel) -> None:
        self._lm = lm
        self._known: dict[tuple[str, str, str], float] = {}

    def grade(self, graded: Sequence[tuple[str, str, str]]) -> list[float]:
        """Grade (question, gold answer, given answer): 1 if right, 0 if wrong.

        Raises:
            ModelError: The model failed, or its verdict cannot be read.
        """
        new = [item for item in dict.fromkeys(graded) if item not in self._known]
        if new:
            completions = self._lm.complete([_chat(*item) for item in new], Sampling(max_tokens=32, json_object=True))
            for item, completion in zip(new, completions, strict=True):
                self._known[item] = _verdict(completion.text)
        return [self._known[item] for item in graded]


def _chat(question: str, gold: str, given: str) -> list[Message]:
    content = f"Question: {quote(question)}\nGold answer: {quote(gold)}\nGiven answer: {quote(given)}"
    return [Message(role="system", content=_TASK), Message(role="user", content=content)]


def _verdict(text: str) -> float:
    found = first_object(text)
    label = str(found.get("label", "")).upper() if not isinstance(found, str) else ""
    if label not in ("CORRECT", "WRONG"):
        raise ModelError(
            f"The judge answered {text[:80]!r} instead of a label.",
            hint="Use a stronger model as judge, or leave the judge's weight at 0.",
        )
    return float(label == "CORRECT")
