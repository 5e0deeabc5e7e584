"""Checks by rule that what a model wrote is made of what it was given: small models make things up."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from memory_r1.agents.calendar_words import NUMBERS
from memory_r1.agents.text import content_words, is_stop_word, stem, words

_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_NAME = re.compile(r"(?<![.!?\"“:]\s)(?<!^)\b[A-Z][\w'’]+")
_NEGATION = re.compile(r"\b(?:not|no|never|none|without|cannot)\b|n['’]t\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Support:
    """How much of a text its sources hold."""

    share: float
    """Part of the content words that the sources hold too, 0 to 1; 1 for a text without content words."""
    unknown_numbers: tuple[str, ...]
    unknown_names: tuple[str, ...]

    @property
    def exact(self) -> bool:
        """Whether every number and name comes from the sources."""
        return not self.unknown_numbers and not self.unknown_names


class Sources:
    """Texts that a statement may rest on, indexed once for many checks.

    Args:
        texts: The texts.

    Example:
        >>> Sources(["Ann: I adopted 2 cats in Rome"]).support("Ann adopted 3 cats in Paris").unknown_names
        ('Paris',)
    """

    def __init__(self, texts: Iterable[str]) -> None:
        everything = "\n".join(texts)
        self._stems = {stem(word) for word in words(everything)}
        self._prefixes = {word[:5] for word in self._stems if len(word) >= 5}
        self._numbers = set(_NUMBER.findall(everything))
        # "six months" may be retold as "6 months"
        self._numbers |= {str(NUMBERS[word]) for word in set(words(everything)) & NUMBERS.keys()}

    def holds(self, word_stem: str) -> bool:
        """Whether a stem occurs, or one that begins with the same five letters."""
        return word_stem in self._stems or (len(word_stem) >= 5 and word_stem[:5] in self._prefixes)

    def support(self, text: str) -> Support:
        """Measure how far the sources support a text."""
        content = content_words(text)
        found = sum(map(self.holds, content))
        names = {name for name in _NAME.findall(text) if not is_stop_word(name.casefold())}
        return Support(
            share=found / len(content) if content else 1.0,
            unknown_numbers=tuple(sorted(set(_NUMBER.findall(text)) - self._numbers)),
            unknown_names=tuple(sorted(name for name in names if not all(map(self.holds, map(stem, words(name)))))),
        )


def overlap(text: str, other: str) -> float:
    """Share of the content words of `text` that `other` holds too, 0 to 1; 0 for a text without content words.

    Example:
        >>> overlap("Ann paints lakes", "She painted a lake")
        0.6666666666666666
    """
    content = set(content_words(text))
    return len(content & set(content_words(other))) / len(content) if content else 0.0


def negations(text: str) -> int:
    """Number of negations in a text.

    Example:
        >>> negations("She didn't, no")
        2
    """
    return len(_NEGATION.findall(text))
