"""Names of speakers in a question.

A question that names Caroline is nearest to what *others* said to her ("Hey Caroline!"). So the names leave the text
that is embedded and matched, and count as what they are: whose memories are meant.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from memory_r1.retrieval.words import STOP_WORDS

_WORD = re.compile(r"\w+")

_COMMON = STOP_WORDS | {
    *("user", "assistant", "system", "april", "may", "june", "august"),
    *("art", "bill", "faith", "grace", "hope", "joy", "mark", "rose"),
}
"""Names that are words: they count only with a capital."""


@dataclass(frozen=True, slots=True)
class NamedQuery:
    """A question, taken apart."""

    rest: str
    """The question without the names; the question itself if nothing else is in it."""
    named: tuple[int, ...]
    """Places in the list of speakers of those it names."""


def take_names_out(query: str, speakers: Sequence[str]) -> NamedQuery:
    """Find which speakers a question names, by full name or first name, and take the names out.

    Case does not matter, but for names that are common words ("Will", "May"), which count when written with a capital.

    Example:
        >>> take_names_out("When did caroline's mother visit Mel?", ["Mel", "Caroline Fox"])
        NamedQuery(rest='When did mother visit ?', named=(0, 1))
        >>> take_names_out("What will she do?", ["Will"])
        NamedQuery(rest='What will she do?', named=())
    """
    named: set[int] = set()
    rest = query
    said = _words(query)
    for place, word, pattern in _patterns(tuple(speakers)):
        # a bank of thousands of speakers: most of the names need not be looked for
        if word is None or word in said:
            rest, count = pattern.subn(" ", rest)
            if count:
                named.add(place)
    rest = " ".join(rest.split())
    return NamedQuery(rest if any(map(str.isalnum, rest)) else query, tuple(sorted(named)))


def telling_names(speakers: Sequence[str], named: Sequence[int]) -> list[str]:
    """First names of some speakers, without those that are common words.

    Example:
        >>> telling_names(["Ann Lee", "User", "Bob"], [0, 1])
        ['ann']
    """
    first = [speakers[number].split()[0].casefold() for number in named]
    return [name for name in dict.fromkeys(first) if name not in _COMMON]


@lru_cache(maxsize=256)
def _patterns(speakers: tuple[str, ...]) -> tuple[tuple[int, str | None, re.Pattern[str]], ...]:
    """A pattern for each form of each speaker's name, longest forms first, and a word that must be there for it."""
    forms = {
        (form, place) for place, name in enumerate(speakers) for form in (" ".join(name.split()), *name.split()[:1])
    }
    usable = sorted(((form, place) for form, place in forms if form), key=lambda item: (-len(item[0]), item))
    return tuple((place, min(_words(form), default=None), _pattern(form)) for form, place in usable)


def _words(text: str) -> set[str]:
    return {word.casefold() for word in _WORD.findall(text)}


def _pattern(form: str) -> re.Pattern[str]:
    common = form.casefold() in _COMMON
    return re.compile(rf"(?<!\w){re.escape(form)}(?:['’]s)?(?!\w)", 0 if common else re.IGNORECASE)
