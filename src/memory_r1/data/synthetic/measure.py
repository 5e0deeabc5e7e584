"""How varied conversations are, in numbers that can be compared between data sets."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from memory_r1.data.conversation import Conversation
from memory_r1.data.synthetic.gold import SyntheticConversation

SAMPLE = 15_000
"""Words over which distinct-n is counted; the share of distinct n-grams falls with size, so size must be fixed."""

WINDOW = 1_000
"""Words over which the type-token ratio is counted."""

_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


@dataclass(frozen=True, slots=True)
class Measures:
    """Figures of a set of conversations."""

    conversations: int
    sessions: float
    """Mean number of a conversation."""
    turns: float
    """Mean number of a session."""
    words: float
    """Mean number of a turn."""
    vocabulary: int
    """Distinct words in all."""
    distinct: Mapping[int, float]
    """Share of distinct n-grams in a sample of `SAMPLE` words, mean over samples, by n; nan if there is no full one."""
    type_token: float
    """Distinct words in `WINDOW` running words, as a share."""
    repeated_turns: float
    """Share of turns that occurred before, word for word, in the set."""
    captions: float
    """Share of turns with a picture."""
    questions: Mapping[str, int]
    """Number by category."""
    answer_words: float
    """Mean number of a gold answer."""
    facts_a_turn: float = 0.0
    operations: Mapping[str, float] = field(default_factory=dict)
    """Share of each kind; empty for data without gold operations."""
    memories: float = 0.0
    """Mean size of the gold bank at the end."""
    memory_words: float = 0.0
    """Mean number of words in a gold memory."""


def words(text: str) -> list[str]:
    """The words of a text in lower case.

    Example:
        >>> words("Don't stop, Ann!")
        ["don't", 'stop', 'ann']
    """
    return _TOKEN.findall(text.lower().replace("’", "'"))


def measure(data: Sequence[Conversation] | Sequence[SyntheticConversation]) -> Measures:
    """Measure conversations, with the gold of synthetic ones."""
    made = [one for one in data if isinstance(one, SyntheticConversation)]
    talks = [one.conversation if isinstance(one, SyntheticConversation) else one for one in data]
    turns = [turn for talk in talks for turn in talk.turns]
    spoken = [words(turn.text) for turn in turns]
    running = [word for said in spoken for word in said]
    texts = Counter(" ".join(said) for said in spoken)
    sessions = sum(len(talk.sessions) for talk in talks)
    questions = [question for talk in talks for question in talk.questions]
    kinds = Counter(operation.kind.value for one in made for operation in one.operations)
    banks = [memory for one in made for memory in one.bank.values()]
    return Measures(
        conversations=len(talks),
        sessions=_mean(len(talk.sessions) for talk in talks),
        turns=len(turns) / max(1, sessions),
        words=_mean(len(said) for said in spoken),
        vocabulary=len(set(running)),
        distinct={n: distinct(running, n) for n in (1, 2, 3, 4)},
        type_token=_mean(
            len(set(running[start : start + WINDOW])) / WINDOW for start in range(0, len(running) - WINDOW + 1, WINDOW)
        ),
        repeated_turns=sum(count - 1 for count in texts.values()) / max(1, len(turns)),
        captions=_mean(turn.image_caption is not None for turn in turns),
        questions=dict(Counter(question.category for question in questions).most_common()),
        answer_words=_mean(len(question.answer.split()) for question in questions if question.answer),
        facts_a_turn=sum(len(one.facts) for one in made) / max(1, len(turns)),
        operations={kind: count / kinds.total() for kind, count in kinds.most_common()},
        memories=len(banks) / max(1, len(made)),
        memory_words=_mean(len(memory.text.split()) for memory in banks),
    )


def distinct(running: Sequence[str], n: int, sample: int = SAMPLE) -> float:
    """Share of distinct n-grams in samples of equal length, mean over the full samples (nan without one).

    Example:
        >>> distinct("a b a b".split(), 2, sample=4)
        0.6666666666666666
    """
    shares = []
    for start in range(0, len(running) - sample + 1, sample):
        part = running[start : start + sample]
        grams = list(zip(*(part[shift:] for shift in range(n)), strict=False))
        shares.append(len(set(grams)) / len(grams))
    return _mean(shares)


def _mean(numbers: Iterable[float]) -> float:
    found = list(numbers)
    return sum(found) / len(found) if found else float("nan")
