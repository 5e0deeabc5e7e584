"""Questions that share their memories: many demonstrations for the price of one prompt.

A prompt is mostly memories. Questions about the same ones are computed behind one copy of them (see `packing.py`), so a
board of eight memories with eight questions costs a fifth of eight prompts. Memories and answers are gold; only the
choice of memories is not the retriever's for each question alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from memory_r1.data.conversation import Question
from memory_r1.data.synthetic import GoldAnswer, SyntheticConversation
from memory_r1.errors import ConfigError
from memory_r1.rl.bank_state import Bank, BankSearch, Cut, Entry
from memory_r1.rl.gold_bank import relevant_ids, separate_bank, stages_of
from memory_r1.rl.problems import AnswerProblem
from memory_r1.rl.retrieved import from_turns, turn_entries

_EACH = 4
"""Memories that each question may bring to its board beside the evidence."""


@dataclass(frozen=True, slots=True)
class BoardOptions:
    """How boards are laid out.

    Raises:
        ConfigError: A number is below 1.
    """

    memories: int = 8
    """About how many memories a board has."""
    questions: int = 8
    """Most questions of a board."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("memories", "questions"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} is too small.", hint="Use 1 or more.")


def answer_boards(
    made: Iterable[SyntheticConversation], search: BankSearch, options: BoardOptions | None = None
) -> list[AnswerProblem]:
    """Questions by boards, which hold the evidence of each and what the retriever finds for it beside that.

    Boards take turns in what their memories are: the gold bank or a memory for each fact, in the generator's words or
    in those they were told in, and the turns as they were said.

    Args:
        made: The conversations.
        search: Finds memories like a question.
        options: See `BoardOptions`.
    """
    options = options or BoardOptions()
    return [problem for one in made for problem in _answer_boards(one, search, options)]


def gathered(name: str, problems: Sequence[AnswerProblem], options: BoardOptions | None = None) -> list[AnswerProblem]:
    """Put questions about one conversation, each with its own memories, on boards.

    A memory bears on a question if it comes from a turn of the question's evidence.

    Args:
        name: The conversation's.
        problems: With what was retrieved for each. One whose evidence is known and was not retrieved is left out.
        options: See `BoardOptions`.
    """
    options = options or BoardOptions()
    rng = random.Random(f"{options.seed}/{name}")
    asked = [one for one in problems if one.relevant or one.question.answer is None]
    rng.shuffle(asked)
    made: list[AnswerProblem] = []
    for number, start in enumerate(range(0, len(asked), options.questions)):
        part = asked[start : start + options.questions]
        needed = {one.memories[place].id: one.memories[place] for one in part for place in one.relevant or ()}
        chosen = _filled(needed, [one.memories for one in part], options.memories)
        rng.shuffle(chosen)
        board = f"{name}/board-{number}"
        for one in part:
            wanted = (
                from_turns(tuple(chosen), one.question.evidence) if one.question.answer is not None else frozenset()
            )
            places = tuple(place for place, entry in enumerate(chosen) if entry.id in wanted)
            made.append(AnswerProblem(f"{one.question.id}/board", one.question, tuple(chosen), places, family=board))
    return made


_VIEWS = ("bank", "turns", "said", "facts", "said bank")


def _answer_boards(one: SyntheticConversation, search: BankSearch, options: BoardOptions) -> Iterator[AnswerProblem]:
    rng = random.Random(f"{options.seed}/{one.conversation.id}")
    # a question that is asked earlier than at the end stands on another bank
    asked = [pair for pair in one.questions if not pair[1].as_of]
    rng.shuffle(asked)
    turn = rng.randrange(len(_VIEWS))
    for number, start in enumerate(range(0, len(asked), options.questions)):
        part = asked[start : start + options.questions]
        bank, relevant = _view(one, _VIEWS[(turn + number) % len(_VIEWS)], part)
        chosen = _chosen(bank, relevant, part, search, options.memories)
        rng.shuffle(chosen)
        name = f"{one.conversation.id}/board-{number}"
        for question, gold in part:
            places = tuple(place for place, entry in enumerate(chosen) if entry.id in relevant[question.id])
            if gold.memories and not places:
                continue
            shown = replace(question, time=None)
            yield AnswerProblem(f"{question.id}/board", shown, tuple(chosen), places, family=name)


def _view(
    one: SyntheticConversation, view: str, asked: Sequence[tuple[Question, GoldAnswer]]
) -> tuple[Bank, dict[str, frozenset[str]]]:
    """What is remembered at the end, and by question the ids of what holds its answer."""
    last = len(one.turns) - 1
    if view == "turns":
        planted = {turn.turn_id for turn in one.turns if turn.planted}
        said = one.conversation.turns
        bank: Bank = tuple(entry for turn in said for entry in turn_entries(turn, planted=turn.id in planted))
        return bank, {question.id: from_turns(bank, question.evidence) for question, _ in asked}
    stored = "said" if view.startswith("said") else "fact"
    bank = stages_of(one, stored)[last].after if view.endswith("bank") else separate_bank(one, last, stored)
    return bank, {question.id: relevant_ids(one, gold, question) for question, gold in asked}


def _chosen(
    bank: Bank,
    relevant: dict[str, frozenset[str]],
    asked: Sequence[tuple[Question, GoldAnswer]],
    search: BankSearch,
    count: int,
) -> list[Entry]:
    """A board's memories: evidence first, then what is found for each question in turn; about `count`."""
    needed = frozenset().union(*relevant.values()) if relevant else frozenset()
    found = [search.for_question(bank, question.text, Cut(k=_EACH)) for question, _ in asked]
    return _filled({entry.id: entry for entry in bank if entry.id in needed}, found, count)


def _filled(needed: dict[str, Entry], found: Sequence[Sequence[Entry]], count: int) -> list[Entry]:
    """The memories needed, then the best found for each question, the second best, ...; about `count` in all."""
    chosen = dict(needed)
    most = max(count, len(needed) + 3)
    for rank in range(_EACH):
        for entries in found:
            if rank < len(entries) and len(chosen) < most:
                chosen.setdefault(entries[rank].id, entries[rank])
    return list(chosen.values())
