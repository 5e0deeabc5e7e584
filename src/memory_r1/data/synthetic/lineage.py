"""What becomes of each gold fact: until when its memory tells it, what replaces it, and which facts it only repeats."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from memory_r1.bank.operation import OperationKind
from memory_r1.data.synthetic.frames import Step, all_frames
from memory_r1.data.synthetic.gold import GoldFact, GoldOperation, SyntheticConversation
from memory_r1.data.synthetic.life import Person, Storyline
from memory_r1.data.synthetic.template import certain_slots
from memory_r1.data.synthetic.values import Value
from memory_r1.data.synthetic.vocabulary import Draws
from memory_r1.errors import InvalidInputError

_DAY_ONE = date(2000, 1, 1)


@dataclass(frozen=True, slots=True)
class FactLife:
    """One gold fact, and what later facts do to it. Places count all facts of the conversation from 0."""

    fact: GoldFact
    operation: GoldOperation
    place: int
    until: int
    """Place of the first fact after which its memory no longer tells anything of it (its values were replaced, its
    sentence was dropped, its memory was retired); the number of all facts if that never happens. A fact that only
    repeats or retires something is never told: `until` is its own place."""
    repeats: tuple[str, ...] = ()
    """For NOOP: ids of the facts whose values it says again."""
    replaced: tuple[tuple[str, ...], ...] = ()
    """For each value it tells that changes later: ids of the facts that changed it, the first one first."""

    @property
    def memory(self) -> str:
        """Id of the gold memory that it concerns."""
        return self.operation.memory_id

    @property
    def kind(self) -> OperationKind:
        """What should be done with it."""
        return self.operation.kind

    def stands(self, place: int) -> bool:
        """Whether the gold memories tell it after the fact at a place."""
        return self.place <= place < self.until


def lineage(one: SyntheticConversation) -> dict[str, FactLife]:
    """The lives of a conversation's facts by id, in the order in which they are said.

    Each memory is written again by the generator's own storylines, whose values and sentences know the step they come
    from; no text is compared.

    Raises:
        InvalidInputError: A fact's topic names no storyline or step of this generator.

    Example:
        >>> from memory_r1.data.synthetic import generate
        >>> lives = lineage(generate(1, sessions=3))
        >>> list(lives)[:2], all(life.stands(life.place) for life in lives.values() if life.kind in ("ADD", "UPDATE"))
        (['F1', 'F2'], True)
    """
    tellers: dict[str, _Teller] = {}
    order = list(zip(one.facts, one.operations, strict=True))
    for place, (fact, operation) in enumerate(order):
        frame, _, name = fact.topic.rpartition(".")
        known = all_frames().get(frame)
        if known is None or name not in known.steps:
            raise InvalidInputError(f"{one.conversation.id}: the topic {fact.topic!r} of {fact.id} is not known.")
        teller = tellers.setdefault(
            operation.memory_id, _Teller(Storyline(operation.memory_id, known, Person(fact.subject, "n")))
        )
        teller.take(known.steps[name], fact.id, place)
    return {
        fact.id: FactLife(
            fact,
            operation,
            place,
            tellers[operation.memory_id].until.get(fact.id, len(order)),
            tellers[operation.memory_id].repeats.get(fact.id, ()),
            tuple(map(tuple, tellers[operation.memory_id].changes[fact.id].values())),
        )
        for place, (fact, operation) in enumerate(order)
    }


class _Numbers(Draws):
    """Draws a value that differs from all others, whatever is asked for."""

    def draw(self, spec: str, known: Mapping[str, Value], now: date, floor: date | None = None) -> Value:
        self.used.add(str(len(self.used)))
        return Value(str(len(self.used)))


class _Teller:
    """Goes through one storyline with the ids of facts in the place of turns."""

    def __init__(self, line: Storyline) -> None:
        self.until: dict[str, int] = {}
        self.repeats: dict[str, tuple[str, ...]] = {}
        self.changes: defaultdict[str, dict[str, list[str]]] = defaultdict(dict)
        """By fact and by slot that it tells, the facts that changed it later."""
        self._line = line
        self._draws = _Numbers(Random(0), "train")
        self._slots: dict[str, frozenset[str]] = {}
        """The slots whose values each fact tells."""
        self._own: dict[str, tuple[str, str]] = {}
        """The step and the sentence that each fact left in the memory."""

    def take(self, step: Step, fact: str, place: int) -> None:
        line = self._line
        for slot in (*step.shift, *step.redraw):
            for earlier, told in self._slots.items():
                if slot in told:
                    self.changes[earlier].setdefault(slot, []).append(fact)
        line.take(step, fact, _DAY_ONE + timedelta(days=place), self._draws)
        line.remember(step, step.fact[0])
        if step.kind is OperationKind.NOOP:
            said = _said(step) & line.origins.keys()
            self.repeats[fact] = tuple(dict.fromkeys(line.origins[slot][0] for slot in sorted(said)))
            self._slots[fact] = said
        elif step.kind is not OperationKind.DELETE:
            fresh = {slot for slot, origin in line.origins.items() if origin == (fact,) and not slot.endswith("_was")}
            self._slots[fact] = frozenset(fresh)
            self._own[fact] = step.id, line.clauses.get(step.id, "")
        self._end(fact, place)

    def _end(self, fact: str, place: int) -> None:
        """Note which facts the memory tells no more."""
        line = self._line
        told = {line.origins[slot][0] for slot in line.remembered if slot in line.origins}
        for one in self._slots.keys() | {fact}:
            step, sentence = self._own.get(one, ("", ""))
            stands = one in told or (sentence and line.clauses.get(step) == sentence)
            if not line.alive or one not in self._own or not stands:
                self.until.setdefault(one, place)


def _said(step: Step) -> frozenset[str]:
    """The slots whose values a step's fact tells, whichever of its wordings is chosen."""
    return frozenset.intersection(*map(certain_slots, step.fact)) - {"S"}
