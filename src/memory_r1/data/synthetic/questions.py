"""Questions whose answers are known: from the storylines as they stand, and as they stood before they changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from random import Random

from memory_r1.bank.operation import OperationKind
from memory_r1.data.conversation import Turn
from memory_r1.data.synthetic.frames import Ask, Gather, Step
from memory_r1.data.synthetic.life import Person, Storyline, turn_order
from memory_r1.data.synthetic.template import capital, choose, slots

CATEGORIES = ("multi-hop", "temporal", "open-domain", "single-hop", "adversarial", "knowledge-update")
"""LoCoMo's categories, and questions about something that has changed."""

SHARES = {
    "single-hop": 0.34,
    "temporal": 0.2,
    "multi-hop": 0.14,
    "knowledge-update": 0.12,
    "open-domain": 0.06,
    "adversarial": 0.14,
}
"""The mix of categories that is aimed at."""

MAX_WORDS = 6
"""Longest gold answer."""


@dataclass(frozen=True, slots=True)
class Drafted:
    """A question before it has a number."""

    text: str
    answer: str | None
    category: str
    evidence: tuple[str, ...] = ()
    memories: tuple[str, ...] = ()
    as_of: str | None = None
    bait: str | None = None
    bait_turns: tuple[str, ...] = ()


class Examiner:
    """Finds the questions that a conversation answers, and some that it only seems to answer."""

    def __init__(self, rng: Random, people: Sequence[Person], lines: list[Storyline], turns: list[Turn]) -> None:
        self._rng = rng
        self._people = people
        self._lines = lines
        self._turns = turns
        self._past: list[Drafted] = []

    def before(self, line: Storyline, step: Step, share: float) -> None:
        """Keep a question that the coming step will change the answer of, as asked after the session before.

        Args:
            line: The storyline that changes.
            step: The coming step.
            share: How often to do so.
        """
        changes = step.kind is OperationKind.DELETE or step.shift
        if not changes or not line.done or self._rng.random() >= share:
            return
        session = turn_order(self._turns[-1].id)[0]
        last = max(line.done.values(), key=turn_order)
        earlier = [turn for turn in self._turns if turn_order(turn.id)[0] < session]
        if turn_order(last)[0] >= session or not earlier:
            return
        asks = [
            (owner_step, ask)
            for owner_step, ask in self._open(line)
            if step.kind is OperationKind.DELETE or slots(ask.answer) & set(step.shift)
        ]
        if asks:
            drafted = self._drafted(line, *self._rng.choice(asks), as_of=earlier[-1].id)
            if drafted:
                self._past.append(drafted)

    def questions(self, limit: int) -> list[Drafted]:
        """A mix of questions about the whole conversation, in random order and each once."""
        found = [*self._past, *self._present(), *self._lists(), *self._shared(), *self._swapped(), *self._untold()]
        self._rng.shuffle(found)
        unique = list({drafted.text.lower(): drafted for drafted in found}.values())
        chosen: list[Drafted] = []
        for category, share in SHARES.items():
            of_kind = [drafted for drafted in unique if drafted.category == category]
            chosen += of_kind[: round(limit * share)]
        rest = [one for one in unique if one not in chosen and one.category != "adversarial"]
        chosen += rest[: max(0, limit - len(chosen))]
        self._rng.shuffle(chosen)
        return chosen

    def _open(self, line: Storyline) -> Iterator[tuple[Step, Ask]]:
        """The asks of a storyline that it answers as it stands."""
        for name in line.done:
            step = line.frame.steps[name]
            for ask in step.asks:
                told = (
                    slots(ask.answer) - {"S"} <= line.remembered and slots(ask.question) - {"S"} <= line.values.keys()
                )
                if told and ask.unless.isdisjoint(line.done) and self._clear(line, ask):
                    yield step, ask

    def _clear(self, line: Storyline, ask: Ask) -> bool:
        """Whether a question can mean this storyline alone."""
        rivals = [one for one in self._lines if one.owner is line.owner and one is not line]
        rivals = [one for one in rivals if one.frame.family == line.frame.family]
        taken = {value.said for rival in rivals for value in rival.values.values()}
        named = {line.values[name].said for name in slots(ask.question) & line.values.keys()}
        return not rivals or not named <= taken

    def _drafted(self, line: Storyline, step: Step, ask: Ask, as_of: str | None = None) -> Drafted | None:
        text = line.tell(choose(ask.question, self._rng))
        answer = line.answer(ask.answer)
        if len(answer.split()) > MAX_WORDS:
            return None
        changed = slots(ask.answer) & line.changed
        category = "knowledge-update" if changed and as_of is None else ask.category
        return Drafted(text, answer, category, line.sources(ask.answer, step.id), (line.id,), as_of)

    def _present(self) -> Iterator[Drafted]:
        for line in self._lines:
            if line.alive:
                for step, ask in self._open(line):
                    drafted = self._drafted(line, step, ask)
                    if drafted:
                        yield drafted

    def _gathered(self, person: Person) -> Iterator[tuple[Gather, list[tuple[str, tuple[str, ...], str]]]]:
        """What the live storylines of a frame make up together: answer, turns, memory of each."""
        frames = {line.frame.id: line.frame for line in self._lines}
        for frame in frames.values():
            if frame.gather is None:
                continue
            mine = [line for line in self._lines if line.owner is person and line.frame is frame and line.alive]
            items = [
                (line.plain(slot), line.origins[slot], line.id)
                for line in mine
                for slot in frame.gather.slots
                if slot in line.values
            ]
            yield frame.gather, items

    def _lists(self) -> Iterator[Drafted]:
        for person in self._people:
            for gather, items in self._gathered(person):
                answer = capital(", ".join(item[0] for item in items))
                if len(items) < 2:
                    continue
                memories = tuple(dict.fromkeys(item[2] for item in items))
                turns = tuple(sorted({turn for item in items for turn in item[1]}, key=turn_order))
                if gather.questions and len(answer.split()) <= MAX_WORDS:
                    yield Drafted(self._about(gather.questions, person), answer, "multi-hop", turns, memories)
                if gather.count:
                    yield Drafted(self._about(gather.count, person), str(len(items)), "multi-hop", turns, memories)

    def _shared(self) -> Iterator[Drafted]:
        for one, two in combinations(self._people, 2):
            theirs = {id(gather): items for gather, items in self._gathered(two)}
            for gather, items in self._gathered(one):
                common = [(a, b) for a in items for b in theirs[id(gather)] if a[0].lower() == b[0].lower()]
                if len(common) == 1 and gather.both and len(common[0][0][0].split()) <= MAX_WORDS:
                    (answer, turns, memory), (_, more, other) = common[0]
                    text = self._about(gather.both, one, two)
                    evidence = tuple(sorted({*turns, *more}, key=turn_order))
                    yield Drafted(text, capital(answer), "multi-hop", evidence, (memory, other))

    def _about(self, templates: Sequence[str], person: Person, other: Person | None = None) -> str:
        text = choose(self._rng.choice(templates), self._rng)
        text = text.replace("{S:s}", f"{person.name}'s").replace("{S}", person.name)
        return text.replace("{O}", other.name) if other else text

    def _swapped(self) -> Iterator[Drafted]:
        """Questions about the wrong speaker, to whom nothing of the kind happened."""
        for line in self._lines:
            families = {one.frame.family for one in self._lines if one.owner is not line.owner}
            strangers = [
                person
                for person in self._people
                if person is not line.owner
                and not any(one.owner is person and one.frame.family == line.frame.family for one in self._lines)
            ]
            if not line.alive or not strangers or (len(self._people) > 2 and line.frame.family in families):
                continue
            asks = [
                (step, ask)
                for step, ask in self._open(line)
                if ask.category in ("single-hop", "temporal") and "S" in slots(ask.question)
            ]
            if asks:
                step, ask = self._rng.choice(asks)
                text = line.tell(choose(ask.question, self._rng), self._rng.choice(strangers))
                bait = line.answer(ask.answer)
                turns = line.sources(ask.answer, step.id)
                yield Drafted(text, None, "adversarial", bait=bait, bait_turns=turns)

    def _untold(self) -> Iterator[Drafted]:
        """Questions about a detail that never came up."""
        for line in self._lines:
            for step in line.frame.steps.values():
                for ask in step.asks:
                    asked = slots(ask.question) - {"S"}
                    missing = slots(ask.answer) - {"S"} - line.values.keys()
                    if line.alive and missing and asked <= line.values.keys() and self._clear(line, ask):
                        yield Drafted(line.tell(choose(ask.question, self._rng)), None, "adversarial")
