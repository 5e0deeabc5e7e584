"""Synthetic facts to rule on that share their memories: many decisions for the price of one prompt.

A prompt is mostly memories. Demonstrations that show the same memories are computed behind one copy of them (see
`packing.py`), so a board of eight memories with eight facts or questions costs a fifth of eight prompts. Banks, rulings
and answers are gold throughout; only the choice of memories is not the retriever's for each question alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from memory_r1.bank.operation import OperationKind
from memory_r1.data.synthetic import SyntheticConversation
from memory_r1.errors import ConfigError
from memory_r1.rl.bank_state import Bank, BankSearch, Entry, GoldRuling, NewFact
from memory_r1.rl.gold_bank import Stage, stages_of
from memory_r1.rl.problems import ManagerProblem


@dataclass(frozen=True, slots=True)
class BoardOptions:
    """How boards are laid out.

    Raises:
        ConfigError: A number is below 1.
    """

    memories: int = 8
    """Most memories of a manager's board, 3 at least; about as many as a board of questions has."""
    boards: int = 8
    """Most boards of a conversation, for the Memory Manager."""
    additions: int = 4
    """Most facts of a board that belong to no memory; without a limit they would be most of all."""
    questions: int = 8
    """Questions of a board, for the Answer Agent."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("memories", "boards", "additions", "questions"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} is too small.", hint="Use 1 or more.")


def manager_boards(
    made: Iterable[SyntheticConversation], search: BankSearch, options: BoardOptions | None = None
) -> list[ManagerProblem]:
    """Facts to rule on, by boards; each problem has one fact with its gold ruling and no question.

    At a point of a conversation, a board takes the next fact about each of its memories, as long as the memory has not
    changed until then, some coming facts that belong to none, and facts already told, which are known.

    Args:
        made: The conversations.
        search: Finds the memories that are most like the facts to add, so that they stand on the board.
        options: See `BoardOptions`.
    """
    options = options or BoardOptions()
    return [problem for one in made for problem in _ManagerBoards(one, search, options).problems()]


_VIEWS = ("fact", "said")
"""Boards take turns: facts as the generator words them, and in the words they were told in."""


class _ManagerBoards:
    """Makes the boards of one conversation."""

    def __init__(self, one: SyntheticConversation, search: BankSearch, options: BoardOptions) -> None:
        self._name = one.conversation.id
        self._turns = {turn.id: turn for turn in one.conversation.turns}
        self._search = search
        self._options = options
        self._views = {stored: stages_of(one, stored) for stored in _VIEWS}
        self._stages = self._views["fact"]
        self._planted = [stage for stage in self._stages if stage.turn.planted and not stage.turn.facts]
        self._rng = random.Random(f"{options.seed}/{self._name}")

    def problems(self) -> Iterator[ManagerProblem]:
        """The problems, board after board."""
        places = [place for place, stage in enumerate(self._stages) if stage.before and len(stage.before[0]) > 1]
        count = min(self._options.boards, len(places))
        for number, place in enumerate(sorted(self._rng.sample(places, count))):
            self._stages = self._views[_VIEWS[number % len(_VIEWS)]]
            yield from self._board(place, f"{self._name}/board-{number}")

    def _board(self, place: int, name: str) -> Iterator[ManagerProblem]:
        bank = self._stages[place].before[0]
        concerning, additions = self._coming(place, bank)
        self._rng.shuffle(additions)
        additions = additions[: self._options.additions]
        wanted: list[str] = []
        for fact in additions:
            wanted += [entry.id for entry in self._search.for_fact(bank, fact.text, 2)]
        subjects = [fact.gold.target for fact in concerning if fact.gold and fact.gold.target]
        others = [entry.id for entry in bank]
        for names in (subjects, others):
            self._rng.shuffle(names)
        count = self._rng.randint(min(3, self._options.memories), self._options.memories)
        half = (count + 1) // 2
        order = dict.fromkeys([*subjects[:half], *wanted, *subjects[half:], *others])
        chosen = list(order)[:count]
        self._rng.shuffle(chosen)
        facts = [fact for fact in concerning if fact.gold and fact.gold.target in chosen]
        told = self._told(place, [entry for entry in bank if entry.id in chosen])
        facts += [*additions, *self._rng.sample(told, min(1, len(told))), *self._instruction()]
        self._rng.shuffle(facts)
        known = {entry.text.casefold() for entry in bank}
        distinct = {fact.text: fact for fact in facts if fact.text.casefold() not in known}
        for number, fact in enumerate(distinct.values()):
            yield ManagerProblem(f"{name}/{number}", bank, (fact,), tuple(chosen), family=name)

    def _coming(self, place: int, bank: Bank) -> tuple[list[NewFact], list[NewFact]]:
        """The next fact about each memory of a bank from some turn on, and facts that belong to none."""
        concerning: dict[str, NewFact] = {}
        additions: list[NewFact] = []
        here = {entry.id for entry in bank}
        for stage in self._stages[place:]:
            for text, operation, ruling in zip(stage.texts, stage.turn.operations, stage.rulings, strict=True):
                fact = self._fact(stage, text, replace(ruling, target=operation.memory_id))
                if operation.kind is OperationKind.ADD:
                    additions.append(replace(fact, gold=replace(ruling, target=None)))
                elif operation.memory_id in here:
                    concerning.setdefault(operation.memory_id, fact)
        return list(concerning.values()), additions

    def _told(self, place: int, entries: Sequence[Entry]) -> list[NewFact]:
        """Facts that a memory holds word for word beside others."""
        texts = {entry.id: entry.text for entry in entries}
        return [
            self._fact(stage, text, GoldRuling(OperationKind.NOOP, operation.memory_id))
            for stage in self._stages[:place]
            for text, operation in zip(stage.texts, stage.turn.operations, strict=True)
            if text in texts.get(operation.memory_id, "")
        ]

    def _instruction(self) -> list[NewFact]:
        """A planted instruction, on some boards of a conversation that has any."""
        if not self._planted or self._rng.random() < 0.5:
            return []
        stage = self._rng.choice(self._planted)
        turn = self._turns[stage.turn.turn_id]
        return [self._fact(stage, f"{turn.speaker}: {turn.text}", GoldRuling(OperationKind.NOOP))]

    def _fact(self, stage: Stage, text: str, ruling: GoldRuling) -> NewFact:
        said = self._turns[stage.turn.turn_id]
        planted = stage.turn.planted and not stage.turn.facts
        return NewFact(text, said.time, said.speaker, said.id, planted, ruling)
