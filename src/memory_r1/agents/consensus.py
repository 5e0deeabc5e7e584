"""Which of several answers to one question the others agree with most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from memory_r1.agents.text import words


def agreements(texts: Sequence[str]) -> list[float]:
    """How far each text agrees with the others: the mean F1 of its words and each of theirs, 0 to 1.

    To choose the text with the most is minimum Bayes risk decoding (Kumar and Byrne, 2004) for that F1.

    Args:
        texts: At least two.

    Example:
        >>> [round(share, 2) for share in agreements(["a red kite", "red kite", "a heron"])]
        [0.6, 0.4, 0.2]
    """
    bags = [Counter(words(text)) for text in texts]
    return [
        sum(_f1(bag, other) for index, other in enumerate(bags) if index != place) / (len(bags) - 1)
        for place, bag in enumerate(bags)
    ]


def _f1(one: Counter[str], other: Counter[str]) -> float:
    size = one.total() + other.total()
    return 2 * (one & other).total() / size if size else 1.0
