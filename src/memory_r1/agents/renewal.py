"""What a memory becomes when a fact changes what it says, and the policy wrote no words for that that count."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from memory_r1.agents.joining import day_parts, joined
from memory_r1.agents.text import sentences
from memory_r1.bank.fact import Fact
from memory_r1.bank.memory import MemoryRecord

Alike = Callable[[str, Sequence[str]], Sequence[float]]
"""How alike a text is to each of some others."""

# "new" is none of them: a new dog does not replace the old one
_SIGNS = re.compile(r"\b(?:now|no longer|instead|actually|changed|switched|quit|stopped)\b", re.IGNORECASE)
_MORE = re.compile(r"\b(?:also|too|as well|another|one more|second|third|besides|in addition)\b", re.IGNORECASE)

# where words alone tell of a change, what it takes the place of must be as alike as this; see docs/decisions.md, 27
_LEAST_ALIKE = 0.6

# what is known by its look to be of one kind; no dates: a second event has another one
_VALUES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"[$€£]\d[\d,]*(?:\.\d+)?",
        r"\b\d{1,2}(?::\d{2})? ?[ap]m\b|\b\d{1,2}:\d{2}\b",
        r"(?<=\broom )\w*\d\w*",
    )
)


def tells_more(fact: str) -> bool:
    """Whether a fact speaks of one more thing of a kind: what it is told beside stays true.

    Example:
        >>> tells_more("Ann adopted another dog, Scout."), tells_more("Ann now lives in Oslo.")
        (True, False)
    """
    return bool(_MORE.search(fact))


def tells_change(fact: str) -> bool:
    """Whether a fact is one sentence that tells how something is now; longer talk has such words all the time.

    Example:
        >>> tells_change("Ann now lives in Oslo."), tells_change("I'm in Oslo now. So much to see!")
        (True, False)
    """
    return bool(_SIGNS.search(fact)) and len(sentences(fact)) == 1


def renewed(memory: MemoryRecord, fact: Fact, alike: Alike, *, surely: bool) -> str | None:
    """The text of a memory with the fact in the place of the sentence that is most like it; None: none is like it.

    The fact stands behind the rest, under its day. Where the sentence differs from it in a price, a time of day or a
    room, that value alone gives way, and the rest of the sentence stays.

    Args:
        memory: What is known.
        fact: What changes it.
        alike: Tells how alike the fact is to each sentence.
        surely: Whether the policy said that it changes the memory; else a sentence must be at least 0.6 alike.

    Example:
        >>> from datetime import datetime, UTC
        >>> from memory_r1.bank.scope import Scope
        >>> day = datetime(2023, 5, 8, tzinfo=UTC)
        >>> known = MemoryRecord("m", Scope(user_id="u"), "Ann lives in Rome. Ann has a cat.", day, day, event_time=day)
        >>> renewed(known, Fact("Ann now lives in Oslo.", day), lambda text, others: [0.8, 0.4], surely=False)
        'Ann has a cat. Ann now lives in Oslo.'
    """
    told = [(day, sentence) for day, part in day_parts(memory.text) for sentence in sentences(part)]
    scores = alike(fact.text, [sentence for _, sentence in told])
    stale = max(range(len(told)), key=lambda place: scores[place])
    if not surely and scores[stale] < _LEAST_ALIKE:
        return None
    day, sentence = told[stale]
    corrected = _with_value_of(sentence, fact.text)
    rest = [*told[:stale], *([(day, corrected)] if corrected else []), *told[stale + 1 :]]
    if not rest:
        return fact.text
    kept, before = [], ""
    for day, sentence in rest:
        kept.append(sentence if day == before else f"{day}{sentence}")
        before = day
    return joined(" ".join(kept), fact.text, memory.event_time, fact.event_time)


def _with_value_of(sentence: str, fact: str) -> str | None:
    """A sentence with the fact's price, time or room in the place of its own; None: both do not have just one."""
    for kind in _VALUES:
        old, new = kind.findall(sentence), kind.findall(fact)
        if len(old) == len(new) == 1 and old != new:
            return sentence.replace(old[0], new[0])
    return None
