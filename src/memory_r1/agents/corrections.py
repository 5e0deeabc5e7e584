"""Tells a fact that puts a memory right from one that adds to it."""

from __future__ import annotations

import re

from memory_r1.agents.grounding import overlap
from memory_r1.agents.text import sentences

_SIGNS = re.compile(
    r"\b(?:actually|mistaken(?:ly)?|by mistake|mix(?:ed)? up|misread|misheard|misremembered|misspoke"
    r"|(?:got|said) (?:it|that) wrong|not (?:on )?the \w+ (?:\w+ )?(?:said|told)|correction|(?:I|he|she|they) meant)\b",
    re.IGNORECASE,
)

# of a memory, what a fact must hold to stand for all of it: all but the value that was wrong
_LEAST_SAID_AGAIN = 0.6


def puts_right(fact: str, memory: str) -> bool:
    """Whether a fact says that a memory was wrong, and says the rest of it again, so that it can take its place.

    Example:
        >>> puts_right("Ann's flight actually leaves at 8.", "Ann's flight leaves at 6.")
        True
        >>> puts_right("Ann's flight actually leaves at 8.", "Ann flies to Rome in May. Her flight leaves at 6.")
        False
    """
    return bool(_SIGNS.search(fact)) and len(sentences(memory)) == 1 and overlap(memory, fact) >= _LEAST_SAID_AGAIN
