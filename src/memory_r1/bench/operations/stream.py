"""A manager's way through one conversation, on the bank that its own rulings leave."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from memory_r1.agents.results import Ruling
from memory_r1.bank.memory import content_hash
from memory_r1.bank.operation import OperationKind
from memory_r1.bench.operations.story import Story
from memory_r1.rl.bank_state import Bank, BankSearch, apply
from memory_r1.rl.problems import ManagerProblem


@dataclass(frozen=True, slots=True)
class Decided:
    """One ruling of a manager on one fact of a conversation."""

    fact: str
    place: int
    gold: OperationKind
    ruled: OperationKind
    rejected: bool
    """Whether it could not be used and fell back to ADD."""
    wrong_delete: bool = False
    """Whether it retired a memory that alone told a fact which gold keeps."""
    shown: bool | None = None
    """Where gold changes or retires a memory: whether a memory with facts of it was among the candidates. None if there
    is none in the bank, or nothing was searched."""


@dataclass(frozen=True, slots=True)
class Held:
    """One memory of a bank with where it comes from."""

    text: str
    facts: tuple[str, ...]
    """Ids of the facts that made or changed it, oldest first."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A bank as it stands after the fact at a place."""

    place: int
    memories: tuple[Held, ...]
    kept: frozenset[str]
    """Ids of all facts that any memory, also one that is gone, has ever taken in."""


@dataclass
class Stream:
    """One conversation with one manager: hands out a problem for each fact in turn, and carries out the rulings.

    Args:
        story: The conversation.
        stops: Places after which `standings` keeps the bank.
        search: Finds the candidates as the product does; None: the memory that gold concerns is the only candidate.
        candidates: How many memories the manager sees.
    """

    story: Story
    stops: frozenset[int]
    search: BankSearch | None
    candidates: int = 3
    bank: Bank = ()
    """The bank as it stands."""
    decided: list[Decided] = field(default_factory=list)
    standings: dict[int, Standing] = field(default_factory=dict)
    _facts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Facts by memory; a retired memory has none."""
    _kept: set[str] = field(default_factory=set)

    def problem(self) -> ManagerProblem | None:
        """The next fact with the bank as it stands; None at the end."""
        place = len(self.decided)
        if place == len(self.story.facts):
            return None
        new = self.story.facts[place].new
        if self.search is not None:
            found = [entry.id for entry in self.search.for_fact(self.bank, new, self.candidates)]
        else:
            target = new.gold.target if new.gold else None
            found = [entry.id for entry in self.bank if entry.id == target]
        return ManagerProblem(
            f"{self.story.id}/{self.story.facts[place].life.fact.id}", self.bank, (new,), tuple(found)
        )

    def take(self, problem: ManagerProblem, ruling: Ruling) -> None:
        """Carry out the ruling on a problem.

        Args:
            problem: What `problem` gave last.
            ruling: What was decided, through the problem's candidates.
        """
        place = len(self.decided)
        life = self.story.facts[place].life
        before = self.bank
        shown = self._shown(place, problem.candidates)
        target = None if ruling.target is None else problem.candidates[ruling.target]
        self.bank = apply(before, ruling, problem.candidates, problem.facts[0], self._new_id(life.memory, life.fact.id))
        wrong = False
        if ruling.kind is OperationKind.DELETE and target in self._facts:
            gone = Held(next(entry.text for entry in before if entry.id == target), self._facts.pop(target))
            wrong = self._was_alone(gone, place)
        else:
            self._note(life.fact.id, before, ruling, problem.candidates)
        rejected = ruling.rejected is not None
        self.decided.append(Decided(life.fact.id, place, life.kind, ruling.kind, rejected, wrong, shown))
        if place in self.stops:
            self.standings[place] = Standing(place, tuple(self._memories()), frozenset(self._kept))

    def _memories(self) -> list[Held]:
        return [Held(entry.text, self._facts.get(entry.id, ())) for entry in self.bank]

    def _new_id(self, memory: str, fact: str) -> str:
        """The gold memory's id where it is free, so that gold rulings find it; never shown to a model."""
        return memory if memory not in {entry.id for entry in self.bank} else f"{memory}/{fact}"

    def _note(self, fact: str, before: Bank, ruling: Ruling, candidates: Iterable[str]) -> None:
        """Note which memory has taken the fact in."""
        known = dict.fromkeys(before)
        changed = [entry.id for entry in self.bank if entry not in known]
        if not changed and ruling.kind in (OperationKind.ADD, OperationKind.UPDATE):
            # the store keeps one memory of a text
            written = {content_hash(text) for text in (ruling.text, self.story.text_of(fact)) if text}
            changed = [entry.id for entry in self.bank if content_hash(entry.text) in written]
        elif not changed:
            # nothing was written, but a memory may hold these very words already
            seen = set(candidates)
            changed = [entry.id for entry in self.bank if entry.id in seen and self.story.verbatim(entry.text, fact)]
        for name in changed:
            self._facts[name] = (*self._facts.get(name, ()), fact)
            self._kept.add(fact)

    def _was_alone(self, gone: Held, place: int) -> bool:
        rest = Tellers(self.story, self._memories(), place)
        return any(
            rest.tells(gone, fact) and not rest.of(fact)
            for fact in self._told_by(gone)
            if self.story.lives[fact].stands(place)
        )

    def _told_by(self, memory: Held) -> list[str]:
        """The facts that a memory holds, those that it only repeats included."""
        lives = self.story.lives
        return list(dict.fromkeys(one for fact in memory.facts for one in (fact, *lives[fact].repeats)))

    def _shown(self, place: int, candidates: Iterable[str]) -> bool | None:
        life = self.story.facts[place].life
        if self.search is None or life.kind not in (OperationKind.UPDATE, OperationKind.DELETE):
            return None
        lives = self.story.lives
        holders = {
            name for name, facts in self._facts.items() if any(lives[one].memory == life.memory for one in facts)
        }
        return not holders.isdisjoint(candidates) if holders else None


class Tellers:
    """Which memories of a bank tell which facts.

    Args:
        story: The conversation.
        memories: The bank.
        place: Of the fact after which this is asked.
    """

    def __init__(self, story: Story, memories: Iterable[Held], place: int) -> None:
        self._story, self._place = story, place
        self._by_fact: dict[str, list[Held]] = {}
        for memory in memories:
            for fact in dict.fromkeys(memory.facts):
                self._by_fact.setdefault(fact, []).append(memory)
        self._repeats: dict[str, list[str]] = {}
        for life in story.lives.values():
            for fact in life.repeats if life.place <= place else ():
                self._repeats.setdefault(fact, []).append(life.fact.id)

    def taken_by(self, fact: str) -> list[Held]:
        """The memories that took a fact in, whether or not they still tell it."""
        return self._by_fact.get(fact, [])

    def of(self, fact: str) -> list[Held]:
        """The memories that tell a fact, or tell what repeats it in enough of its own words."""
        found = [*self.taken_by(fact), *(one for again in self._again(fact) for one in self.taken_by(again))]
        return [memory for memory in _distinct(found) if self.tells(memory, fact)]

    def tells(self, memory: Held, fact: str) -> bool:
        """Whether a memory tells a fact that it, or something that repeats it, went into."""
        if fact in memory.facts:
            return self._story.tells(memory.text, fact, self._place)
        return self._story.holds(memory.text, self._story.wanted(fact, self._place))

    def partly(self, fact: str) -> list[Held]:
        """The memories that tell a fact, or what repeats any part of it and has not been replaced since."""
        again = [one for one in self._again(fact) if not self._replaced(one)]
        found = [
            memory for one in again for memory in self.taken_by(one) if self._story.tells(memory.text, one, self._place)
        ]
        return _distinct([*self.of(fact), *found])

    def _again(self, fact: str) -> list[str]:
        return self._repeats.get(fact, [])

    def _replaced(self, fact: str) -> bool:
        lives = self._story.lives
        return any(lives[chain[0]].place <= self._place for chain in lives[fact].replaced)


def _distinct(memories: Iterable[Held]) -> list[Held]:
    # texts of a bank differ, so equal memories are the same one
    return list(dict.fromkeys(memories))
