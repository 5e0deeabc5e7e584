"""Tells a fact that goes on about something which a memory brought up: "her sailing boat", of "a sailing boat"."""

from __future__ import annotations

import re

from memory_r1.agents.text import sentences

_BROUGHT_UP = re.compile(r"\b(?:a|an) ((?:[\w-]+ ){1,3}[\w-]+)", re.IGNORECASE)
_REFERS = r"\b(?:his|her|their|its|my|our|the|that|this|\w+'s) {}\b"


def goes_on_about(fact: str, memory: str) -> bool:
    """Whether a fact, one sentence, refers to a thing that a memory brings up, by the same two words or more.

    One word says too little: "a day" and "the day" are seldom the same. Longer talk refers to many things.

    Example:
        >>> goes_on_about("Ann named her sailing boat Petrel.", "Ann bought a sailing boat.")
        True
        >>> goes_on_about("Ann bought another sailing boat.", "Ann bought a sailing boat.")
        False
    """
    if len(sentences(fact)) > 1:
        return False
    for found in _BROUGHT_UP.finditer(memory):
        words = found[1].split()
        phrases = (" ".join(words[:count]) for count in range(len(words), 1, -1))
        if any(re.search(_REFERS.format(re.escape(phrase)), fact, re.IGNORECASE) for phrase in phrases):
            return True
    return False
