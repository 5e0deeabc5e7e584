"""A storyline as it happens: the values it has so far, the memory it has become."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random

from memory_r1.bank.operation import OperationKind
from memory_r1.data.synthetic.frames import Frame, Step
from memory_r1.data.synthetic.template import choose, fill, slots
from memory_r1.data.synthetic.values import Value, speaker_marks
from memory_r1.data.synthetic.vocabulary import Draws


@dataclass
class Person:
    """A speaker."""

    name: str
    gender: str

    @property
    def value(self) -> Value:
        """The name as a value."""
        return Value(self.name, gender=self.gender)


@dataclass
class Storyline:
    """One topic in one speaker's life."""

    id: str
    """Also the id of its memory."""
    frame: Frame
    owner: Person
    values: dict[str, Value] = field(default_factory=dict)
    origins: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The turns that told each value."""
    clauses: dict[str, str] = field(default_factory=dict)
    """The sentences of its memory as templates, by the step that left them."""
    done: dict[str, str] = field(default_factory=dict)
    """The steps taken, with the turn that told each."""
    changed: set[str] = field(default_factory=set)
    """Slots that hold another value than at first."""
    alive: bool = True
    ended: bool = False
    floor: date | None = None
    """The first day on which its next step can have happened."""

    @property
    def memory(self) -> str:
        """The text of its memory."""
        return " ".join(self.tell(clause) for clause in self.clauses.values())

    @property
    def remembered(self) -> frozenset[str]:
        """The slots whose values its memory still tells."""
        return frozenset[str]().union(*(slots(clause) for clause in self.clauses.values())) - {"S"}

    def can(self, step: Step, now: date) -> bool:
        """Whether a step can come next."""
        if not self.alive or self.ended or step.id in self.done or step.id == "start":
            return False
        if any(need not in self.done for need in step.needs) or any(bar in self.done for bar in step.bars):
            return False
        return self._due(step.late, now, passed=True) and self._due(step.early, now, passed=False)

    def _due(self, slot: str | None, now: date, *, passed: bool) -> bool:
        if slot is None:
            return True
        period = self.values[slot].period
        return period is not None and (period[1] < now if passed else period[0] > now)

    def take(self, step: Step, turn_id: str, now: date, draws: Draws) -> None:
        """Let a step happen: draw its values and rewrite the memory. Its fact's words are added by `remember`."""
        specs = {**self.frame.start.draw, **step.draw}
        for name in step.shift:
            self.values[f"{name}_was"] = self.values[name]
            self.origins[f"{name}_was"] = self.origins[name]
        for name in (*step.shift, *step.redraw):
            before = self.values.pop(name).said
            self._draw(name, specs[name], turn_id, now, draws)
            for _ in range(20):
                if self.values[name].said != before:
                    break
                self._draw(name, specs[name], turn_id, now, draws)
            self.changed.add(name)
        for name, spec in step.draw.items():
            if name in self.values:
                self.origins[name] = (turn_id,)
            else:
                self._draw(name, spec, turn_id, now, draws)
        self.done[step.id] = turn_id
        self.floor = now + timedelta(days=1)

    def _draw(self, name: str, spec: str, turn_id: str, now: date, draws: Draws) -> None:
        self.values[name] = draws.draw(spec, self.values, now, self.floor)
        self.origins[name] = (turn_id,)

    def remember(self, step: Step, fact: str) -> None:
        """Rewrite the memory after a step whose fact has the words of a template."""
        if step.kind is OperationKind.NOOP:
            return
        if step.kind is OperationKind.DELETE:
            self.alive = False
            return
        for name in step.drop:
            self.clauses.pop(name, None)
        for name, clause in step.set.items():
            self.clauses[name] = clause
        clause = fact if step.clause is None else step.clause
        if clause:
            self.clauses[step.id] = clause
        self.ended = self.ended or step.end

    def say(self, template: str, rng: Random) -> str:
        """A template in the owner's mouth."""
        text = fill(choose(template, rng), self.values.__getitem__, lambda value: speaker_marks(value.said, None))
        return text

    def tell(self, template: str, person: Person | None = None) -> str:
        """A template in the third person, about the owner (or somebody else in the owner's place)."""
        about = person or self.owner

        def value(name: str) -> Value:
            return about.value if name == "S" else self.values[name]

        return fill(template, value, lambda found: speaker_marks(found.in_fact, about.gender))

    def answer(self, template: str) -> str:
        """A template as a short answer."""

        def value(name: str) -> Value:
            return self.owner.value if name == "S" else self.values[name]

        gender = self.owner.gender
        return fill(template, value, lambda found: speaker_marks(found.as_answer, gender)).rstrip(".")

    def plain(self, slot: str) -> str:
        """A value as it stands in a list of answers."""
        return speaker_marks(self.values[slot].as_answer, self.owner.gender)

    def sources(self, template: str, fallback: str) -> tuple[str, ...]:
        """The turns that told a template's values; the turn of step `fallback` if it has none."""
        turns = {turn for name in sorted(slots(template)) for turn in self.origins.get(name, ())}
        return tuple(sorted(turns or {self.done[fallback]}, key=turn_order))


def turn_order(turn_id: str) -> tuple[int, int]:
    """Sorts turn ids by session and place.

    Example:
        >>> sorted(["D10:1", "D2:11", "D2:2"], key=turn_order)
        ['D2:2', 'D2:11', 'D10:1']
    """
    session, place = turn_id[1:].split(":")
    return int(session), int(place)
