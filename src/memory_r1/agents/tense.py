"""A guess whether words speak of the past or the future: just enough to tell which Friday "on Friday" is."""

from __future__ import annotations

import re
from typing import Literal

_FUTURE = re.compile(
    r"\b(?:will|won['’]t|shall|gonna|going to|about to|want to|plan(?:s|ning)?|hop(?:e|es|ing)|look(?:ing)? forward"
    r"|can['’]t wait|let['’]s|have to|need to|start(?:s|ing)?|begins?|opens?|leav(?:e|es|ing)"
    r"|coming up|due|should|see (?:you|ya)"
    r"|(?:is|are|am)(?!\s+\w+ed\b)|(?:i['’]m|we['’]re|they['’]re|he['’]s|she['’]s|it['’]s|that['’]s))\b"
    r"|\w['’]ll\b",
    re.IGNORECASE,
)
_PAST = re.compile(
    r"\b(?:was|were|had|did|didn['’]t|wasn['’]t|weren['’]t|went|got|took|saw|met|made|came|gave|found|bought|told|said"
    r"|ran|won|lost|left|felt|heard|ate|began|broke|brought|built|caught|chose|drove|fell|flew|forgot|grew|held|kept"
    r"|knew|led|paid|quit|rode|sang|sent|spent|spoke|swam|taught|thought|threw|tried|wore|woke|wrote|just\s+\w+ed"
    r"|(?!need|feed|seed|speed|bed|red|wed|shed|indeed|excited|interested|scared|worried|tired)\w{2,}ed)\b",
    re.IGNORECASE,
)
_CLAUSE_END = re.compile(r"[.!?;\n]")
# far enough for one clause, near enough to keep long texts linear
_REACH = 160


def tense_before(text: str, position: int) -> Literal["past", "future"] | None:
    """Which time the sentence around a position speaks of; None if it shows no sign, or signs of both.

    Example:
        >>> tense_before("I went there on Friday.", 13), tense_before("I'll go on Friday.", 8)
        ('past', 'future')
    """
    before = _CLAUSE_END.split(text[max(0, position - _REACH) : position])[-1]
    after = _CLAUSE_END.split(text[position : position + _REACH])[0]
    for part in (before, before + after):
        past, future = bool(_PAST.search(part)), bool(_FUTURE.search(part))
        if past != future:
            return "past" if past else "future"
    return None
