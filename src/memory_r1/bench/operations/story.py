"""One synthetic conversation as a manager goes through it, and what is known of every fact in it."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from memory_r1.agents.grounding import Sources
from memory_r1.agents.text import content_words
from memory_r1.bank.memory import content_hash
from memory_r1.bank.operation import OperationKind
from memory_r1.data.synthetic import SyntheticConversation
from memory_r1.data.synthetic.life import turn_order
from memory_r1.data.synthetic.lineage import FactLife, lineage
from memory_r1.rl.bank_state import Bank, NewFact
from memory_r1.rl.gold_bank import stages_of

Words = Literal["fact", "said"]
"""The words of facts: the generator's own, or those that they were told in; see `ManagerOptions.stored`."""

WORDS: tuple[Words, ...] = ("fact", "said")

LEAST_TOLD = 0.5
"""A text that was written anew tells a fact if it holds at least this share of the fact's own words."""


@dataclass(frozen=True, slots=True)
class Told:
    """One gold fact in the order of the conversation."""

    new: NewFact
    """As the manager is told it, with the gold ruling on the gold bank."""
    life: FactLife
    session: int
    """The sitting in which it is said, counted from 1."""


class Story:
    """A conversation's facts, what becomes of each, and how to see whether a text tells one.

    Which facts a memory holds is known from where it came from. Words are looked at only where a manager has written a
    memory's text anew: then the text tells a fact if it holds half of the words that no other fact of the same gold
    memory says and that the gold memory still says.

    Args:
        one: The conversation.
        words: The words that facts are told in.
    """

    def __init__(self, one: SyntheticConversation, words: Words) -> None:
        self.id = one.conversation.id
        self.words = words
        self.made = one
        self.lives = lineage(one)
        self.facts: list[Told] = []
        """Every gold fact, in order."""
        self.of_memory: defaultdict[str, list[FactLife]] = defaultdict(list)
        """The facts that concern each gold memory, in order."""
        self._texts: defaultdict[str, list[tuple[int, str | None]]] = defaultdict(list)
        self._banks: list[Bank] = []
        self._read(one)
        self._names = frozenset(content_words(" ".join(one.conversation.speakers)))
        self._own: dict[str, frozenset[str]] = {}

    def last_place(self, session: int) -> int:
        """Place of the last fact up to the end of a session; -1 if nothing is told until then."""
        return bisect_right([told.session for told in self.facts], session) - 1

    def gold_bank(self, place: int) -> Bank:
        """The gold bank after the fact at a place, in the story's words."""
        return self._banks[place]

    def added_texts(self, place: int) -> list[str]:
        """What a bank says after the fact at a place if every fact is added and none is changed; a text counts once."""
        told = (fact.new.text for fact in self.facts[: place + 1])
        return list({content_hash(text): text for text in told}.values())

    def gold_text(self, memory: str, place: int) -> str | None:
        """What a gold memory says after the fact at a place, in the generator's words; None if it is not there."""
        known = self._texts[memory]
        found = bisect_right([start for start, _ in known], place) - 1
        return known[found][1] if found >= 0 else None

    def text_of(self, fact: str) -> str:
        """A fact as the manager is told it."""
        return self.facts[self.lives[fact].place].new.text

    def tells(self, text: str, fact: str, place: int) -> bool:
        """Whether the text of a memory that took a fact in tells it, as far as it still holds.

        Args:
            text: The memory's text.
            fact: Id of the fact.
            place: Of the fact after which this is asked.
        """
        if self.verbatim(text, fact):
            return True
        wanted = self.wanted(fact, place)
        return not wanted or _share(wanted, text) >= LEAST_TOLD

    def wanted(self, fact: str, place: int) -> frozenset[str]:
        """Stems that only a fact says of its memory and that the gold memory still says after the fact at a place.

        Of a fact that only repeats, all its words.
        """
        life = self.lives[fact]
        own = self._own_words(fact)
        if life.kind is OperationKind.NOOP:
            return own
        return own & frozenset(content_words(self.gold_text(life.memory, place) or ""))

    def holds(self, text: str, stems: frozenset[str]) -> bool:
        """Whether a text holds enough of some stems."""
        return bool(stems) and _share(stems, text) >= LEAST_TOLD

    def still_says(self, text: str, fact: str, place: int, *, history: bool = False) -> bool:
        """Whether the text of a memory that took a fact in still says what gold no longer does.

        Args:
            text: The memory's text.
            fact: Id of a fact that was replaced or retired.
            place: Of the fact after which this is asked.
            history: A fact of which gold keeps every word, as in `before that it was ...`, counts too.
        """
        if self.verbatim(text, fact):
            return True
        own = self._own_words(fact)
        outdated = own - frozenset(content_words(self.gold_text(self.lives[fact].memory, place) or ""))
        return self.holds(text, outdated or own if history else outdated)

    def verbatim(self, text: str, fact: str) -> bool:
        """Whether a text holds a fact's very words."""
        return _plain(self.text_of(fact)) in _plain(text)

    def _read(self, one: SyntheticConversation) -> None:
        said = {turn.id: turn for turn in one.conversation.turns}
        for stage in stages_of(one, self.words):
            turn = said[stage.turn.turn_id]
            after = (*stage.before[1:], stage.after)
            steps = zip(stage.turn.facts, stage.turn.operations, stage.texts, stage.rulings, after, strict=False)
            for fact, operation, text, ruling, bank in steps:
                life = self.lives[fact.id]
                new = NewFact(text, turn.time, turn.speaker, turn.id, gold=ruling)
                self.facts.append(Told(new, life, turn_order(turn.id)[0]))
                self.of_memory[life.memory].append(life)
                self._banks.append(bank)
                if operation.kind is not OperationKind.NOOP:
                    self._texts[life.memory].append((life.place, operation.text))

    def _own_words(self, fact: str) -> frozenset[str]:
        known = self._own.get(fact)
        if known is None:
            life = self.lives[fact]
            mine = frozenset(content_words(self.text_of(fact))) - self._names
            if life.kind is OperationKind.NOOP:
                known = mine & frozenset(content_words(life.fact.text)) or mine
            else:
                others = [one for one in self.of_memory[life.memory] if one.fact.id != fact]
                changing = [one.fact for one in others if one.kind is not OperationKind.NOOP]
                known = mine - _all_words(text for one in changing for text in (one.text, self.text_of(one.id)))
            self._own[fact] = known
        return known


def _all_words(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(word for text in texts for word in content_words(text))


def _plain(text: str) -> str:
    return " ".join(text.split()).rstrip(".").casefold()


@lru_cache(maxsize=4096)
def _sources(text: str) -> Sources:
    return Sources([text])


def _share(stems: frozenset[str], text: str) -> float:
    held = _sources(text)
    return sum(map(held.holds, stems)) / len(stems)
