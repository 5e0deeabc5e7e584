"""What builders share: turns as memories, and what is retrieved for a question or fact."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from memory_r1.agents.dates import annotate
from memory_r1.agents.text import EMBEDDED_CHARS, clean, pieces
from memory_r1.data.conversation import Question, Turn
from memory_r1.rl.bank_state import Bank, BankSearch, Entry
from memory_r1.rl.build_options import AnswerOptions
from memory_r1.rl.problems import AnswerProblem


def turn_texts(turn: Turn) -> list[str]:
    """A turn as memories that stand on their own: one as a rule, more for a long turn, none for an empty one.

    Absolute dates stand beside relative ones, as in what the extractor keeps of a turn word for word.

    Example:
        >>> turn_texts(Turn("D1:1", "Ann", "Look!", image_caption="a red kite"))
        ['Ann: Look! [shared picture: a red kite]']
    """
    said = annotate(" ".join(clean(turn.text).split()), turn.time)
    picture = f"[shared picture: {' '.join(turn.image_caption.split())}]" if turn.image_caption else ""
    return [f"{turn.speaker}: {piece}" for piece in pieces(f"{said} {picture}".strip(), EMBEDDED_CHARS)]


def turn_entries(turn: Turn, *, planted: bool = False) -> list[Entry]:
    """A turn as entries of a bank."""
    return [
        Entry(f"turn-{turn.id}/{number}", text, turn.time, turn.speaker, (turn.id,), planted)
        for number, text in enumerate(turn_texts(turn))
    ]


def from_turns(bank: Bank, turns: Collection[str]) -> frozenset[str]:
    """Ids of the entries that come from any of some turns."""
    return frozenset(entry.id for entry in bank if not set(entry.turns).isdisjoint(turns))


def with_targets(found: Sequence[str], targets: Collection[str], count: int) -> tuple[str, ...]:
    """The candidates found, with targets that were not found in the last places.

    Example:
        >>> with_targets(["a", "b", "c"], {"z"}, 3)
        ('a', 'b', 'z')
    """
    missing = sorted(set(targets) - set(found))
    return (*found[: max(0, count - len(missing))], *missing)


def answer_problem(
    question: Question,
    bank: Bank,
    search: BankSearch,
    options: AnswerOptions,
    *,
    relevant: frozenset[str] | None,
) -> AnswerProblem | None:
    """A question with what is retrieved for it; None if the options drop it.

    Args:
        question: The question.
        bank: What is remembered when it is asked; texts may occur twice, then the first counts.
        search: Finds the memories.
        options: See `AnswerOptions`.
        relevant: Ids of the entries that hold evidence; None if that is not known.
    """
    distinct = tuple({" ".join(entry.text.casefold().split()): entry for entry in reversed(bank)}.values())[::-1]
    found = list(search.for_question(distinct, question.text, options.cut))
    if relevant is None:
        return AnswerProblem(f"{question.id}/answer", question, tuple(found))
    bearing = [entry for entry in distinct if entry.id in relevant]
    if bearing and not set(bearing) & set(found):
        if options.missing == "drop":
            return None
        if options.missing == "insert":
            found = [*found[: max(0, len(found) - len(bearing))], *bearing]
    places = tuple(place for place, entry in enumerate(found) if entry.id in relevant)
    return AnswerProblem(f"{question.id}/answer", question, tuple(found), places)
