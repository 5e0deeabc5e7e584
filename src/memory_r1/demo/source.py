"""Which conversation a demo reads, and which of its questions can be asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from memory_r1.data.conversation import Conversation, Question
from memory_r1.errors import InvalidInputError


def load_conversation(data: str | Path | None = None, name: str | None = None) -> Conversation:
    """Load one conversation.

    Args:
        data: A `.jsonl` file in our format; LoCoMo's JSON file, or a folder that holds it; None is the conversation
            that ships with memory-r1.
        name: Id of the conversation, e.g. `conv-26`; the first one if None.

    Raises:
        InvalidInputError: The data cannot be read, or holds no such conversation.

    Example:
        >>> load_conversation().id
        'demo'
    """
    conversations = _load_all(data)
    if name is None:
        return conversations[0]
    for conversation in conversations:
        if conversation.id == name:
            return conversation
    known = ", ".join(conversation.id for conversation in conversations)
    raise InvalidInputError(f"There is no conversation {name!r} in {data or 'the demo'}.", hint=f"It has: {known}.")


def shorten(conversation: Conversation, sessions: int | None = None, questions: int | None = None) -> Conversation:
    """The first so many sessions, with the questions they can answer, of which the first so many are kept.

    A question stays if all its evidence lies within the sessions. One with an answer and no evidence goes, for nothing
    says that its answer is there; one that the whole conversation leaves open stays.

    Raises:
        InvalidInputError: A number is below its least value (1 session, 0 questions).
    """
    if sessions is not None and sessions < 1:
        raise InvalidInputError("At least one session is needed.")
    if questions is not None and questions < 0:
        raise InvalidInputError("The number of questions cannot be negative.")
    kept = conversation.sessions[:sessions]
    asked = conversation.questions
    if len(kept) < len(conversation.sessions):
        turn_ids = {turn.id for session in kept for turn in session.turns}
        asked = tuple(question for question in asked if _answerable(question, turn_ids))
    return replace(conversation, sessions=kept, questions=asked[:questions])


def _answerable(question: Question, turn_ids: set[str]) -> bool:
    if not question.evidence:
        return question.answer is None
    return turn_ids.issuperset(question.evidence)


def _load_all(data: str | Path | None) -> list[Conversation]:
    if data is None:
        from memory_r1.data.demo import load_demo

        return [load_demo()]
    if Path(data).suffix == ".jsonl":
        from memory_r1.data.jsonl import load_jsonl

        return load_jsonl(data)
    from memory_r1.data.locomo import load_locomo

    return load_locomo(data)
