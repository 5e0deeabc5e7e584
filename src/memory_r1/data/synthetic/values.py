"""What a slot of a storyline holds: the same thing as it is said, as it is remembered, and as it is answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Value:
    """A drawn value, e.g. a name or a time.

    A text may hold the marks `~I ~me ~my ~mine ~myself`, which stand for the person who tells it.
    """

    said: str
    """In the mouth of the one who tells it, e.g. `last Friday`."""
    told: str = ""
    """In a fact, e.g. `on the Friday before 9 June 2023`; as said if empty."""
    answer: str = ""
    """As a short answer, e.g. `The Friday before 9 June 2023`; as told if empty."""
    gender: str = "n"
    """`f`, `m` or `n`; picks pronouns."""
    fields: tuple[str, ...] = ()
    """What the vocabulary says of the value beyond itself."""
    period: tuple[date, date] | None = None
    """First and last day, for a time."""

    @property
    def in_fact(self) -> str:
        """The value as a fact tells it."""
        return self.told or self.said

    @property
    def as_answer(self) -> str:
        """The value as a short answer."""
        return self.answer or self.in_fact


_PRONOUNS = {
    "f": {"he": "she", "him": "her", "his": "her", "hers": "hers", "himself": "herself"},
    "m": {"he": "he", "him": "him", "his": "his", "hers": "his", "himself": "himself"},
    "n": {"he": "it", "him": "it", "his": "its", "hers": "its", "himself": "itself"},
}


def pronoun(form: str, gender: str) -> str:
    """The pronoun of a gender; `form` is the masculine one, capitalised if it is to be.

    Example:
        >>> pronoun("his", "f"), pronoun("He", "f")
        ('her', 'She')
    """
    word = _PRONOUNS[gender][form.lower()]
    return word.capitalize() if form[0].isupper() else word


PRONOUN_FORMS = frozenset(_PRONOUNS["m"])
"""The forms that `pronoun` knows, in lower case."""

_FIRST = {"I": "I", "me": "me", "my": "my", "mine": "mine", "myself": "myself"}
_THIRD = {"I": "he", "me": "him", "my": "his", "mine": "hers", "myself": "himself"}


def speaker_marks(text: str, gender: str | None) -> str:
    """Resolve `~I ~me ~my ~mine ~myself`: first person if `gender` is None, else third.

    Example:
        >>> speaker_marks("to clear ~my head", None), speaker_marks("to clear ~my head", "f")
        ('to clear my head', 'to clear her head')
    """
    if "~" not in text:
        return text
    head, *rest = text.split("~")
    for piece in rest:
        mark = next(name for name in ("myself", "mine", "my", "me", "I") if piece.startswith(name))
        word = _FIRST[mark] if gender is None else pronoun(_THIRD[mark], gender)
        head += word + piece[len(mark) :]
    return head
