"""Which conversations train, validate and test: fixed, so that results can be compared."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from memory_r1.data.conversation import Conversation
from memory_r1.errors import InvalidInputError

LOCOMO_TRAIN = ("conv-26",)
LOCOMO_VALIDATION = ("conv-30",)
LOCOMO_TEST = ("conv-41", "conv-42", "conv-43", "conv-44", "conv-47", "conv-48", "conv-49", "conv-50")
"""The paper's 1:1:8 split: 152, 81 and 1,307 questions that the conversation answers."""


@dataclass(frozen=True, slots=True)
class Split:
    """Conversations by what they are for."""

    train: tuple[Conversation, ...]
    validation: tuple[Conversation, ...]
    test: tuple[Conversation, ...]


def split_locomo(conversations: Sequence[Conversation], *, adversarial: bool = False) -> Split:
    """LoCoMo as the paper splits it, by conversation.

    Args:
        conversations: All ten, as `load_locomo` gives them.
        adversarial: Keep category 5, the questions that the conversation does not answer; the paper drops it.

    Raises:
        InvalidInputError: A conversation is missing.
    """
    known = {one.id: one for one in conversations}
    wanted = (*LOCOMO_TRAIN, *LOCOMO_VALIDATION, *LOCOMO_TEST)
    if missing := [name for name in wanted if name not in known]:
        raise InvalidInputError(
            f"LoCoMo's split needs all ten conversations; {missing[0]} is missing.", hint="Load the whole file."
        )
    kept = known if adversarial else {name: answerable(one) for name, one in known.items()}
    return Split(
        tuple(kept[name] for name in LOCOMO_TRAIN),
        tuple(kept[name] for name in LOCOMO_VALIDATION),
        tuple(kept[name] for name in LOCOMO_TEST),
    )


def answerable(conversation: Conversation) -> Conversation:
    """A conversation without the questions that it does not answer."""
    return replace(
        conversation, questions=tuple(question for question in conversation.questions if question.answer is not None)
    )


def unanswerable(conversation: Conversation) -> Conversation:
    """A conversation with those questions alone that it does not answer, such as LoCoMo's category 5."""
    return replace(
        conversation, questions=tuple(question for question in conversation.questions if question.answer is None)
    )


def split_in_halves(conversations: Sequence[Conversation]) -> tuple[list[Conversation], list[Conversation]]:
    """A training and a test half with the same share of each kind of question, fixed by the conversations' ids.

    For LongMemEval, where each conversation has one question. Unanswerable questions are a kind of their own. Within a
    kind, conversations are ordered by the SHA-256 of their id and dealt out in turn.

    Returns:
        The halves, each in the order given; of an odd number, the test half has one more.

    Raises:
        InvalidInputError: A conversation has not exactly one question.
    """
    kinds: defaultdict[tuple[str, bool], list[str]] = defaultdict(list)
    for one in conversations:
        if len(one.questions) != 1:
            raise InvalidInputError(f"The conversation {one.id!r} has {len(one.questions)} questions instead of one.")
        kinds[one.questions[0].category, one.questions[0].answer is None].append(one.id)
    test = {
        name
        for names in kinds.values()
        for name in sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())[::2]
    }
    return [one for one in conversations if one.id not in test], [one for one in conversations if one.id in test]


def check_conversations(conversations: Sequence[Conversation], *, source: str, evidence: bool = False) -> None:
    """Refuse conversations that cannot be trained on, before any time is spent.

    Args:
        conversations: What was loaded.
        source: What error messages call it.
        evidence: Each question that is answered must name the turns its answer rests on.

    Raises:
        InvalidInputError: There is none, one is empty, an id occurs twice, or evidence names no turn or is missing.
    """
    if not conversations:
        raise InvalidInputError(f"{source} holds no conversation.")
    _distinct(source, "conversation", [one.id for one in conversations])
    _distinct(source, "question", [question.id for one in conversations for question in one.questions])
    for one in conversations:
        turns = [turn.id for turn in one.turns]
        if not turns:
            raise InvalidInputError(f"{source}: the conversation {one.id!r} is empty.", hint="Remove it.")
        _distinct(f"{source}, conversation {one.id!r}", "turn", turns)
        known = set(turns)
        for question in one.questions:
            if missing := [name for name in question.evidence if name not in known]:
                raise InvalidInputError(
                    f"{source}: the evidence {missing[0]!r} of question {question.id!r} is no turn of {one.id!r}.",
                    hint="Name a turn's id, or leave the evidence out.",
                )
            if evidence and question.answer is not None and not question.evidence:
                raise InvalidInputError(
                    f"{source}: the question {question.id!r} has no evidence.",
                    hint="Name the turns that its answer rests on, or remove it.",
                )


def _distinct(source: str, kind: str, names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InvalidInputError(f"{source}: there are two {kind}s {name!r}.", hint="Give each its own id.")
        seen.add(name)
