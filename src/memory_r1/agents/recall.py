"""Keeps a memory that was recalled to the user from being stored again when it comes back in a turn."""

from __future__ import annotations

from collections.abc import Iterable

from memory_r1.agents.dates import without_dates
from memory_r1.agents.grounding import negations
from memory_r1.agents.text import sentences, words

OPEN_MARK = "<memories>"
CLOSE_MARK = "</memories>"
"""The marks around recalled memories in a prompt; a memory's own text cannot hold them there, it is quoted."""

# a shorter sentence is too easily said twice to count as a quotation
_LEAST_WORDS = 4
_ALIKE = 0.9


def strip_recalled(text: str) -> str:
    """Remove the blocks of recalled memories from a text; a block that is not closed stays.

    Example:
        >>> strip_recalled("<memories>old</memories> I moved.")
        ' I moved.'
    """
    parts: list[str] = []
    position = 0
    while (start := text.find(OPEN_MARK, position)) >= 0 and (end := text.find(CLOSE_MARK, start)) >= 0:
        parts.append(text[position:start])
        position = end + len(CLOSE_MARK)
    return "".join([*parts, text[position:]])


class Recalled:
    """Texts of memories that were shown lately.

    Args:
        texts: The memories.

    Example:
        >>> Recalled(["Ann has a small brown dog"]).repeats("ann has a small, brown dog.")
        True
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._bags = {key: frozenset(key) for key in (_key(text) for text in texts) if len(key) >= _LEAST_WORDS}
        self._negations = {key: negations(" ".join(key)) for key in self._bags}

    def repeats(self, text: str) -> bool:
        """Whether a text says nearly word for word what a recalled memory says."""
        key = _key(text)
        if len(key) < _LEAST_WORDS or not self._bags:
            return False
        if key in self._bags:
            return True
        bag = frozenset(key)
        return any(
            len(bag & other) >= _ALIKE * len(bag | other)
            and not any(map(str.isdigit, "".join(bag ^ other)))
            and self._negations[known] == negations(" ".join(key))
            for known, other in self._bags.items()
        )

    def remove(self, text: str) -> tuple[str, int]:
        """Cut out the sentences that repeat a recalled memory.

        Returns:
            What remains, and how many sentences went; a text that repeats nothing comes back unchanged.
        """
        if not self._bags:
            return text, 0
        if self.repeats(text):
            return "", 1
        parts = sentences(text)
        kept = [part for part in parts if not self.repeats(part)]
        return (" ".join(kept), len(parts) - len(kept)) if len(kept) < len(parts) else (text, 0)


def _key(text: str) -> tuple[str, ...]:
    return tuple(words(without_dates(text)))
