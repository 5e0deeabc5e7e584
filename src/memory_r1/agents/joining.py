"""What an UPDATE without a text of its own leaves: what was known, then what is new, each under its day.

A reader is shown the newest first.
"""

from __future__ import annotations

import re
from datetime import datetime

from memory_r1.agents.calendar_words import day_text
from memory_r1.bank.fact import Fact
from memory_r1.bank.memory import MemoryRecord

# longer memories push others out of what a reader is shown; chosen on conv-26 and conv-30, see docs/decisions.md, 25
_LONGEST = 400
_LONGEST_OF_DAYS = 250

_DATED = re.compile(r"\(\d{1,2} [A-Z][a-z]+ \d{4}\) ")
# a day in the middle of a sentence begins no part
_PART = re.compile(rf"(?:^|(?<=[.!?\"”)] )){_DATED.pattern}")


def put_behind(memory: MemoryRecord, fact: Fact) -> str:
    """The text of a memory that a fact is put behind; see `joined`."""
    return joined(memory.text, fact.text, memory.event_time, fact.event_time)


def has_room(memory: MemoryRecord, fact: Fact) -> bool:
    """Whether a fact may be put behind a memory: up to 400 characters that are of one day, 250 of several."""
    text = put_behind(memory, fact)
    return len(text) <= (_LONGEST_OF_DAYS if _DATED.match(text) else _LONGEST)


def joined(memory: str, fact: str, known: datetime | None = None, told: datetime | None = None) -> str:
    """The text of a memory that a fact adds to, where the model wrote none.

    A memory has one date, that of its newest fact; so if the days differ, each part is given its own.

    Args:
        memory: Text of the memory.
        fact: Text of the fact.
        known: When the memory's newest part was told.
        told: When the fact was told.

    Example:
        >>> joined("Ann has a dog", "Ann has a cat.")
        'Ann has a dog. Ann has a cat.'
        >>> joined("Ann has a dog.", "Ann has a cat.", datetime(2023, 5, 8), datetime(2023, 6, 9))
        '(8 May 2023) Ann has a dog. (9 June 2023) Ann has a cat.'
    """
    memory, fact = memory.rstrip(), fact.strip()
    if not memory.endswith((".", "!", "?", '"', "”", ")")):
        memory += "."
    if known is None or told is None or known.date() == told.date():
        return f"{memory} {fact}"
    if not _DATED.match(memory):
        memory = f"({day_text(known)}) {memory}"
    return f"{memory} ({day_text(told)}) {fact}"


def newest_first(text: str) -> str:
    """The parts of a memory of several days, the last day's first; any other text as it is.

    A small reader answers from what comes first.

    Example:
        >>> newest_first("(8 May 2023) Ann lives in Rome. (9 June 2023) Ann lives in Oslo.")
        '(9 June 2023) Ann lives in Oslo. (8 May 2023) Ann lives in Rome.'
    """
    parts = [f"{day}{part}" for day, part in day_parts(text)]
    return " ".join(reversed(parts))


def day_parts(text: str) -> list[tuple[str, str]]:
    """What a memory tells of each day, in its order: the day as it stands there, and the words.

    A memory of one day is one part without a day.

    Example:
        >>> day_parts("(8 May 2023) Ann lives in Rome. (9 June 2023) Ann lives in Oslo.")
        [('(8 May 2023) ', 'Ann lives in Rome.'), ('(9 June 2023) ', 'Ann lives in Oslo.')]
        >>> day_parts("Ann lives in Rome.")
        [('', 'Ann lives in Rome.')]
    """
    matches = list(_PART.finditer(text))
    if not matches or matches[0].start() != 0:
        return [("", text)]
    ends = [*(match.start() for match in matches[1:]), len(text)]
    return [(match[0], text[match.end() : end].strip()) for match, end in zip(matches, ends, strict=True)]
