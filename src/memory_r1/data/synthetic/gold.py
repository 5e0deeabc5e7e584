"""What is known to be right about a generated conversation: facts, operations, the bank they leave, answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from memory_r1.bank.operation import OperationKind
from memory_r1.data.conversation import Conversation, Question


@dataclass(frozen=True, slots=True)
class GoldFact:
    """One statement that a good extractor takes from a turn."""

    id: str
    """Unique in its conversation, e.g. `F12`."""
    text: str
    """Self-contained, in the third person, with absolute dates."""
    subject: str
    """The speaker whose life it tells of, and so whose memory it concerns."""
    turn_id: str
    """The turn that states it."""
    context: tuple[str, ...] = ()
    """Earlier turns without which the turn cannot be understood, such as the question that it answers."""
    period: tuple[date, date] | None = None
    """First and last day of the time the text names; None if it names none."""
    topic: str = ""
    """Storyline and step that it comes from, e.g. `pet.second`; for analysis, not for prompts."""


@dataclass(frozen=True, slots=True)
class GoldOperation:
    """What the memory manager should do with one fact."""

    fact_id: str
    kind: OperationKind
    """ADD, UPDATE, DELETE or NOOP."""
    memory_id: str
    """The memory it makes (ADD), changes, retires, or that already says it (NOOP)."""
    text: str | None = None
    """The memory's text afterwards, for ADD and UPDATE."""


@dataclass(frozen=True, slots=True)
class GoldMemory:
    """A memory of the gold bank at some moment."""

    id: str
    text: str
    owner: str
    """The speaker it is about."""
    turns: tuple[str, ...]
    """The turns whose facts made it, oldest first."""


@dataclass(frozen=True, slots=True)
class GoldTurn:
    """What there is to remember in one turn; no facts: chit-chat."""

    turn_id: str
    facts: tuple[GoldFact, ...] = ()
    operations: tuple[GoldOperation, ...] = ()
    """One for each fact, in the same order."""
    planted: bool = False
    """Whether the turn carries an instruction that tries to get itself stored; nothing of that may be."""


@dataclass(frozen=True, slots=True)
class GoldAnswer:
    """What a question's answer rests on, beyond what `Question` holds."""

    question_id: str
    memories: tuple[str, ...] = ()
    """Ids of the gold memories that answer it; empty if nothing does."""
    as_of: str | None = None
    """The question is asked right after this turn; None: at the end."""
    bait: str | None = None
    """For an unanswerable question, the answer that a careless reader would give, if there is one."""
    bait_turns: tuple[str, ...] = ()
    """The turns that the bait comes from."""


@dataclass(frozen=True)
class SyntheticConversation:
    """A generated conversation with all that is known about it.

    Example:
        >>> from memory_r1.data.synthetic import generate
        >>> made = generate(1, sessions=3)
        >>> made.bank_after(made.conversation.turns[-1].id) == made.bank
        True
    """

    conversation: Conversation
    turns: tuple[GoldTurn, ...]
    """One for each turn of the conversation, in the same order."""
    answers: tuple[GoldAnswer, ...]
    """One for each question of the conversation, in the same order."""
    seed: int
    split: str

    @property
    def facts(self) -> tuple[GoldFact, ...]:
        """All facts in the order in which they are said."""
        return tuple(fact for turn in self.turns for fact in turn.facts)

    @property
    def operations(self) -> tuple[GoldOperation, ...]:
        """All operations in order."""
        return tuple(operation for turn in self.turns for operation in turn.operations)

    @property
    def questions(self) -> tuple[tuple[Question, GoldAnswer], ...]:
        """Each question beside what its answer rests on."""
        return tuple(zip(self.conversation.questions, self.answers, strict=True))

    @cached_property
    def bank(self) -> Mapping[str, GoldMemory]:
        """The live memories after the last turn, by id."""
        return self.bank_after(self.turns[-1].turn_id)

    def states(self) -> Iterator[tuple[GoldTurn, Mapping[str, GoldMemory]]]:
        """Walk through the conversation: each turn with the live memories after it, by id, oldest memory first."""
        bank: dict[str, GoldMemory] = {}
        for turn in self.turns:
            bank = replay(bank, turn)
            yield turn, bank

    def bank_after(self, turn_id: str) -> Mapping[str, GoldMemory]:
        """The live memories after a turn, by id.

        Raises:
            KeyError: There is no such turn.
        """
        for turn, bank in self.states():
            if turn.turn_id == turn_id:
                return bank
        raise KeyError(turn_id)

    def bank_before(self, turn_id: str) -> Mapping[str, GoldMemory]:
        """The live memories that a manager finds when a turn comes in, by id.

        Raises:
            KeyError: There is no such turn.
        """
        before: Mapping[str, GoldMemory] = {}
        for turn, bank in self.states():
            if turn.turn_id == turn_id:
                return before
            before = bank
        raise KeyError(turn_id)


def replay(bank: Mapping[str, GoldMemory], turn: GoldTurn) -> dict[str, GoldMemory]:
    """The bank after a turn's operations; the bank given stays as it is.

    Raises:
        ValueError: An operation does not fit the bank: it adds a memory that is there or names one that is not.
    """
    after = dict(bank)
    for fact, operation in zip(turn.facts, turn.operations, strict=True):
        known = after.get(operation.memory_id)
        if (operation.kind is OperationKind.ADD) != (known is None):
            raise ValueError(f"{operation.kind} of {operation.memory_id} does not fit the bank at {turn.turn_id}.")
        if operation.kind is OperationKind.DELETE:
            del after[operation.memory_id]
        elif operation.kind is not OperationKind.NOOP:
            if operation.text is None:
                raise ValueError(f"{operation.kind} of {operation.memory_id} at {turn.turn_id} has no text.")
            turns = (*(known.turns if known else ()), fact.turn_id)
            after[operation.memory_id] = GoldMemory(
                operation.memory_id, operation.text, fact.subject, tuple(dict.fromkeys(turns))
            )
    return after
