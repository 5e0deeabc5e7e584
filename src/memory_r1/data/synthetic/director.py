"""Decides what happens next in whose life."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from random import Random

from memory_r1.bank.operation import OperationKind
from memory_r1.data.synthetic.frames import Frame, Step, all_frames
from memory_r1.data.synthetic.life import Person, Storyline
from memory_r1.data.synthetic.template import certain_slots


@dataclass(frozen=True, slots=True)
class Knobs:
    """How hard and how long conversations are. Shares are between 0 and 1."""

    events: int = 6
    """Statements worth remembering in a session, on average; each may be followed by details."""
    fresh: float = 0.45
    """Share of statements that open a new storyline (when old ones could go on)."""
    details: float = 0.45
    """How often the other speaker asks for more and gets it."""
    repeats: float = 1.8
    """Weight of saying the same again in other words (NOOP) beside other steps."""
    endings: float = 3.0
    """Weight of endings and retractions (DELETE) beside other steps."""
    lookalikes: float = 0.3
    """How often a new storyline resembles one of another speaker."""
    double: float = 0.25
    """How often a turn holds two unrelated statements."""
    chitchat: float = 0.35
    """How often small talk stands between two topics."""
    captions: float = 0.8
    """How often a picture is shared where one fits."""
    planted: float = 0.08
    """How often a session holds an instruction that tries to get itself remembered."""
    questions: int = 0
    """Questions at most; 0: four a session."""
    past_questions: float = 0.6
    """How often a question is asked just before its answer changes."""


class Director:
    """Keeps the storylines of a conversation and picks their next steps."""

    def __init__(self, rng: Random, people: Sequence[Person], knobs: Knobs) -> None:
        self._rng = rng
        self._people = people
        self._knobs = knobs
        self.lines: list[Storyline] = []

    def next(self, owner: Person, now: date, busy: set[str]) -> tuple[Storyline, Step] | None:
        """The next step in a speaker's life; None if everything has happened.

        Args:
            owner: Whose life.
            now: The day.
            busy: Ids of storylines that this session has had already.
        """
        open_steps = [
            (line, step)
            for line in self.lines
            if line.owner is owner and line.id not in busy
            for step in line.frame.steps.values()
            if step.say and line.can(step, now)
        ]
        if not open_steps or self._rng.random() < self._knobs.fresh:
            line = self._new(owner)
            if line is not None:
                return line, line.frame.start
        if not open_steps:
            line = self._new(owner)
            return (line, line.frame.start) if line is not None else None
        weights = [self._weight(step) for _, step in open_steps]
        return self._rng.choices(open_steps, weights)[0]

    def detail(self, line: Storyline, now: date) -> Step | None:
        """A detail that the other speaker may ask for right after a statement; None if there is none."""
        steps = [step for step in line.frame.steps.values() if step.reply and line.can(step, now)]
        return self._rng.choice(steps) if steps else None

    def catch_up(self, owner: Person, now: date, busy: set[str]) -> tuple[Storyline, Step] | None:
        """A detail about an earlier topic that can be asked for out of the blue; None if there is none."""
        options = [
            (line, step)
            for line in self.lines
            if line.owner is owner and line.id not in busy
            for step in line.frame.steps.values()
            if step.reply and step.kind is not OperationKind.ADD and line.can(step, now) and self_contained(step)
        ]
        return self._rng.choice(options) if options else None

    def _weight(self, step: Step) -> float:
        factor = {OperationKind.NOOP: self._knobs.repeats, OperationKind.DELETE: self._knobs.endings}
        return step.weight * factor.get(step.kind, 1.5)

    def _new(self, owner: Person) -> Storyline | None:
        mine = [line for line in self.lines if line.owner is owner]
        options = [frame for frame in all_frames().values() if self._room(frame, mine)]
        if not options:
            return None
        others = [line for line in self.lines if line.owner is not owner and line.frame in options]
        model = self._rng.choice(others) if others and self._rng.random() < self._knobs.lookalikes else None
        frame = model.frame if model else self._rng.choices(options, [one.weight for one in options])[0]
        line = Storyline(f"M{len(self.lines) + 1}", frame, owner)
        if model is not None and self._can_share(model, mine):
            line.values.update({name: model.values[name] for name in frame.share})
        self.lines.append(line)
        return line

    def _can_share(self, model: Storyline, mine: Sequence[Storyline]) -> bool:
        """Whether a model's values can be taken over without their owner having two of the same."""
        shared = {model.values[name].said for name in model.frame.share}
        taken = {value.said for line in mine for value in line.values.values()}
        return model.changed.isdisjoint(model.frame.share) and shared.isdisjoint(taken)

    def _room(self, frame: Frame, mine: Sequence[Storyline]) -> bool:
        same = [line for line in mine if line.frame.family == frame.family]
        return len(same) < (3 if frame.many else 1)


def self_contained(step: Step) -> bool:
    """Whether every question and answer of a step tells all that its fact needs."""
    needed = frozenset[str]().union(*(certain_slots(fact) for fact in step.fact)) - {"S"}
    return all(needed <= certain_slots(asked) | certain_slots(reply) for asked in step.asked for reply in step.reply)
