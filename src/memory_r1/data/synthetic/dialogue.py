"""Turns what happens into talk: who says what, who asks, who only chats."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from random import Random
from typing import Any

from memory_r1.bank.operation import OperationKind
from memory_r1.data.conversation import Turn
from memory_r1.data.synthetic.director import Director, Knobs
from memory_r1.data.synthetic.frames import Step, phrasings
from memory_r1.data.synthetic.gold import GoldFact, GoldOperation, GoldTurn
from memory_r1.data.synthetic.life import Person, Storyline
from memory_r1.data.synthetic.style import Style
from memory_r1.data.synthetic.template import certain_slots, choose, fill, slots
from memory_r1.data.synthetic.values import Value
from memory_r1.data.synthetic.vocabulary import Draws, Split, resources

_WORDS = re.compile(r"[\w'-]+")


@lru_cache(maxsize=1)
def talk() -> dict[str, Any]:
    """What people say around the things they tell, by purpose."""
    pools = resources("talk")
    for name in [name for name in pools if name.startswith("more_")]:
        pools[name.removeprefix("more_")] += pools.pop(name)
    for mood in ("good", "bad", "plain"):
        pools[f"reflect_{mood}"] += pools["musing"]
    return pools


def _to_you(text: str) -> str:
    """A value in the mouth of the listener: the teller's `my` is `your`."""
    for mark, word in (("~myself", "yourself"), ("~mine", "yours"), ("~my", "your"), ("~me", "you"), ("~I", "you")):
        text = text.replace(mark, word)
    return text


@dataclass
class Draft:
    """A turn that is being written."""

    id: str
    speaker: Person
    parts: list[str] = field(default_factory=list)
    facts: list[GoldFact] = field(default_factory=list)
    operations: list[GoldOperation] = field(default_factory=list)
    mood: str = "plain"
    caption: str | None = None
    planted: bool = False
    keep: set[str] = field(default_factory=set)


class Dialogue:
    """Writes the turns of a conversation, session by session."""

    def __init__(
        self,
        rng: Random,
        draws: Draws,
        director: Director,
        styles: Sequence[tuple[Person, Style]],
        knobs: Knobs,
        split: Split,
    ) -> None:
        self.rng = rng
        self.draws = draws
        self.director = director
        self.people = [person for person, _ in styles]
        self.knobs = knobs
        self.turns: list[Turn] = []
        self.gold: list[GoldTurn] = []
        self._styles = {person.name: style for person, style in styles}
        self._split = split
        self._session = 0
        self._count = 0
        self._facts = 0
        self.time: datetime

    def begin_session(self, number: int, time: datetime) -> None:
        """The next turns belong to a new session."""
        self._session, self._count, self.time = number, 0, time

    def open(self, speaker: Person) -> Draft:
        """Begin a turn."""
        return Draft(f"D{self._session}:{self._count + 1}", speaker)

    def close(self, draft: Draft) -> None:
        """Finish a turn; one without words is dropped."""
        text = " ".join(part for part in draft.parts if part)
        if not text:
            return
        style = self._styles[draft.speaker.name]
        text = style.write(text, draft.mood, self.rng, frozenset(draft.keep))
        self._count += 1
        self.turns.append(Turn(draft.id, draft.speaker.name, text, self.time, draft.caption))
        self.gold.append(GoldTurn(draft.id, tuple(draft.facts), tuple(draft.operations), draft.planted))

    def chance(self, speaker: Person, share: float = 1.0) -> bool:
        """Whether a speaker says something extra."""
        return self.rng.random() < self._styles[speaker.name].talkative * share

    def add(self, draft: Draft, text: str) -> None:
        """Put words behind what the turn holds already, ending that with a mark."""
        if not text:
            return
        if draft.parts and draft.parts[-1][-1] not in ".!?…":
            excited = self._styles[draft.speaker.name].exclaim / 2
            draft.parts[-1] += "!" if draft.mood == "good" and self.rng.random() < excited else "."
        draft.parts.append(text)

    def phrase(self, pool: str, speaker: Person, other: Person) -> str:
        """Something from a pool of phrases."""
        return self.render(self.rng.choice(phrasings(talk()[pool], self._split)), speaker, other)

    def remark(self, line: Storyline) -> str:
        """Something anybody might say about a storyline's topic."""
        return self.render(self.pick(talk()["topic"][line.frame.id]), line.owner, line.owner)

    def echo(self, line: Storyline, speaker: Person, other: Person) -> str:
        """The listener's repetition of what was told."""
        return self.render(self.pick(talk()["echo"][line.frame.id]), speaker, other, line)

    def render(self, template: str, speaker: Person, other: Person, line: Storyline | None = None) -> str:
        """A template in a speaker's mouth who talks to another: `{S}` is the speaker, `{O}` the other."""

        def value(name: str) -> Value:
            if name in ("S", "O"):
                return speaker.value if name == "S" else other.value
            if line is not None and name in line.values:
                return line.values[name]
            return self.draws.mention(name)

        return fill(choose(template, self.rng), value, lambda found: _to_you(found.said))

    def pick(self, templates: Iterable[str]) -> str:
        """One of the phrasings that the split may use."""
        return self.rng.choice(phrasings(tuple(templates), self._split))

    def tell(self, draft: Draft, line: Storyline, step: Step) -> None:
        """Let a speaker tell a step of the own life."""
        template = self.pick(step.say)
        fact = choose(self.rng.choice(step.fact), self.rng)
        line.take(step, draft.id, self.time.date(), self.draws)
        draft.mood = step.mood
        self.add(draft, line.say(template, self.rng))
        missing = not slots(fact) - {"S"} <= certain_slots(template)
        self.show(draft, line, step, must=missing)
        self.record(draft, line, step, fact, ())

    def reply(self, draft: Draft, line: Storyline, step: Step, context: tuple[str, ...]) -> None:
        """Let a speaker answer a question about the own life."""
        template = self.pick(step.reply)
        fact = choose(self.rng.choice(step.fact), self.rng)
        line.take(step, draft.id, self.time.date(), self.draws)
        draft.mood = step.mood
        self.add(draft, line.say(template, self.rng))
        self.show(draft, line, step, must=False)
        self.record(draft, line, step, fact, context)

    def show(self, draft: Draft, line: Storyline, step: Step, *, must: bool) -> None:
        """Perhaps share a picture of it."""
        if step.caption and draft.caption is None and (must or self.rng.random() < self.knobs.captions):
            draft.caption = line.say(self.pick(step.caption), self.rng)
            draft.caption = draft.caption[0].lower() + draft.caption[1:]
            if self.chance(draft.speaker):
                self.add(draft, self.phrase("showing", draft.speaker, draft.speaker))

    def record(self, draft: Draft, line: Storyline, step: Step, fact: str, context: tuple[str, ...]) -> None:
        """Write down the gold fact and operation of a step that was just told."""
        line.remember(step, fact)
        for name in line.values:
            draft.keep.update(_WORDS.findall(line.values[name].said))
        self._facts += 1
        text = line.tell(fact)
        periods = [line.values[name].period for name in sorted(slots(fact) & line.values.keys())]
        period = next((found for found in periods if found), None)
        gold = GoldFact(
            f"F{self._facts}", text, line.owner.name, draft.id, context, period, f"{line.frame.id}.{step.id}"
        )
        written = step.kind in (OperationKind.ADD, OperationKind.UPDATE)
        draft.facts.append(gold)
        draft.operations.append(GoldOperation(gold.id, step.kind, line.id, line.memory if written else None))
