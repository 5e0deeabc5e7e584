"""The little language in which the texts are written.

- `[a|b|]` is one of its branches, picked anew each time; it nests.
- `{slot}` is the value of a slot; `{slot:filter}` changes it: `a` puts the article before it, `s` makes it possessive,
  `cap` capitalises it, `pl` makes it plural, `2` takes the second field of its vocabulary row, `he`, `him`, `his`,
  `himself` (and `He`, ...) are the pronouns of the slot's gender.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from random import Random

from memory_r1.data.synthetic.values import PRONOUN_FORMS, Value, pronoun

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{(\w+)(?::(\w+))?\}")
_SILENT_H = ("hour", "honest", "heir", "honour", "honor")
_LIKE_YOU = ("uni", "use", "usual", "euro", "ukulele", "one-", "one ", "utility")


def choose(template: str, rng: Random) -> str:
    """Pick a branch of every choice.

    Example:
        >>> choose("[red] [roses]", Random(1))
        'red roses'
    """
    while True:
        picked = _CHOICE.sub(lambda match: rng.choice(match[1].split("|")), template)
        if picked == template:
            return picked
        template = picked


@lru_cache(maxsize=20_000)
def slots(template: str) -> frozenset[str]:
    """The slots that a template names in any of its branches."""
    return frozenset(match[1] for match in _SLOT.finditer(template))


@lru_cache(maxsize=20_000)
def certain_slots(template: str) -> frozenset[str]:
    """The slots whose value (not only a pronoun) shows whatever branches are picked.

    Example:
        >>> sorted(certain_slots("[{a} and {b}|{b} alone] of {c:he}"))
        ['b']
    """
    while match := _CHOICE.search(template):
        branches = [certain_slots(branch) for branch in match[1].split("|")]
        common = frozenset.intersection(*branches)
        kept = "".join(f"{{{name}}}" for name in sorted(common))
        template = template[: match.start()] + kept + template[match.end() :]
    return frozenset(m[1] for m in _SLOT.finditer(template) if not m[2] or m[2].lower() not in PRONOUN_FORMS)


def fill(template: str, value: Callable[[str], Value], text: Callable[[Value], str]) -> str:
    """Put values into the slots of a template without choices, and tidy up.

    Args:
        template: What to fill.
        value: Gives the value of a slot.
        text: Gives the text of a value (as said, as told, as an answer).
    """

    def one(match: re.Match[str]) -> str:
        found = value(match[1])
        return _filtered(found, match[2], text)

    return tidy(_SLOT.sub(one, template))


def _filtered(value: Value, name: str | None, text: Callable[[Value], str]) -> str:
    if name is None:
        return text(value)
    if name.lower() in PRONOUN_FORMS:
        return pronoun(name, value.gender)
    if name.isdigit():
        return value.fields[int(name) - 2]
    return _FILTERS[name](text(value))


def with_article(words: str) -> str:
    """Put the indefinite article before words.

    Example:
        >>> with_article("old unicycle"), with_article("unicycle"), with_article("hour")
        ('an old unicycle', 'a unicycle', 'an hour')
    """
    lower = words.lower()
    vowel = lower.startswith(_SILENT_H) or (lower[0] in "aeiou8" and not lower.startswith(_LIKE_YOU))
    return f"{'an' if vowel else 'a'} {words}"


def plural(words: str) -> str:
    """The plural of a regular noun.

    Example:
        >>> plural("puppy"), plural("box"), plural("cat")
        ('puppies', 'boxes', 'cats')
    """
    if words.endswith("y") and words[-2] not in "aeiou":
        return words[:-1] + "ies"
    return words + ("es" if words.endswith(("s", "x", "ch", "sh")) else "s")


def capital(words: str) -> str:
    """The words with a capital first letter."""
    return words[:1].upper() + words[1:]


_FILTERS: dict[str, Callable[[str], str]] = {
    "a": with_article,
    "s": lambda words: f"{words}'s",
    "cap": capital,
    "pl": plural,
}

_SPACES = re.compile(r"\s+")
_SPACE_BEFORE = re.compile(r"\s+([,.!?;:])")
_DOUBLE = re.compile(r"([,;:])([.!?])")
_STOPS = re.compile(r"([.!?])\.(?!\.)")
_SENTENCE = re.compile(r"(?:^|[.!?]\s+)([a-z])")


def tidy(text: str) -> str:
    """Mend spaces and punctuation around branches that turned out empty, and start sentences with a capital.

    Example:
        >>> tidy("so ,  i went . it was  fun")
        'So, i went. It was fun'
    """
    text = _SPACES.sub(" ", text).strip()
    text = _SPACE_BEFORE.sub(r"\1", text)
    text = _DOUBLE.sub(r"\2", text)
    text = _STOPS.sub(r"\1", text).lstrip(",;. ")
    return _SENTENCE.sub(lambda match: match[0][:-1] + match[1].upper(), text)
