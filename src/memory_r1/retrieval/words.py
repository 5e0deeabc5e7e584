"""The words of a question that a full-text search is worth starting for."""

from __future__ import annotations

import re

_STOP_WORDS = """
a about after again all also am an and any are as at be because been before being both but by can could did do
does doing down each few for from further had has have having he her here hers herself him himself his how i if in
into is it its itself just me more most my myself no nor not now of off on once only or other our ours ourselves out
over own same she should so some such than that the their theirs them themselves then there these they this those
through to too under until up very was we were what when where which while who whom whose why will with would you
your yours yourself yourselves s t d m re ve ll don didn doesn isn wasn weren hasn haven
"""

STOP_WORDS = frozenset(_STOP_WORDS.split())
"""English words that tell little about what a memory says."""

_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """The distinct words of a text in order, in lower case.

    Example:
        >>> words("What's Ann's CAT called? Cat!")
        ['what', 's', 'ann', 'cat', 'called']
    """
    return list(dict.fromkeys(_WORD.findall(text.casefold())))


def search_terms(text: str) -> list[str]:
    """The words of a text without stop words; all of them if nothing else is left.

    Example:
        >>> search_terms("When did she adopt the cat?")
        ['adopt', 'cat']
        >>> search_terms("Who are you?")
        ['who', 'are', 'you']
    """
    every = words(text)
    return [word for word in every if word not in STOP_WORDS] or every
