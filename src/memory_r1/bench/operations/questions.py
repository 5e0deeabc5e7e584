"""Questions on the banks that managers leave at the end of a conversation, and how right the answers are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from memory_r1.agents.results import Usage
from memory_r1.bench.dilution.told import Told
from memory_r1.bench.metrics import exact_match, squad_exact_match, token_f1
from memory_r1.bench.operations.rates import Samples
from memory_r1.bench.operations.story import Words
from memory_r1.bench.operations.stream import Stream
from memory_r1.bench.statistics import Difference, Interval, Scored, mean_interval, paired_difference
from memory_r1.data.conversation import Question
from memory_r1.data.synthetic import SyntheticConversation
from memory_r1.rl.bank_state import BankSearch, Cut
from memory_r1.rl.reader import Ask, FrozenReader

Wanted = Literal["none", "changed", "all"]
"""Which questions are asked: none, those about values that changed or were corrected, or all that have an answer."""

WANTED: tuple[Wanted, ...] = ("none", "changed", "all")

EM, F1, SQUAD_EM = "mem0_em", "mem0_f1", "squad_em"

_SCORERS: Mapping[str, Callable[[str, str], float]] = {EM: exact_match, F1: token_f1, SQUAD_EM: squad_exact_match}

_CHANGED = "knowledge-update"

_BATCH = 32
"""Questions asked between two signs of progress."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What one manager's banks were worth to the reader."""

    samples: Samples
    """Single scores by metric, named as in `memory_r1.bench.scores.METRICS`."""
    usage: Usage
    """What the answers have cost, those known before included."""


@dataclass(frozen=True, slots=True)
class QuestionRow:
    """One manager at the end of the conversations."""

    manager: str
    words: Words
    scores: Mapping[str, Interval]
    """By metric; empty if there was nothing to ask."""
    less_add_all: Difference | None
    """In EM, question by question; None for `add-all` itself, without it, and if there was nothing to ask."""
    usage: Usage


def questions_of(one: SyntheticConversation, wanted: Wanted) -> list[Question]:
    """The questions that are asked at the end of a conversation and have an answer.

    Those that are asked earlier (`GoldAnswer.as_of`) have the answer of an earlier bank, and are left out.

    Args:
        one: The conversation.
        wanted: Which.
    """
    standing = [question for question, gold in one.questions if question.answer is not None and gold.as_of is None]
    if wanted == "all":
        return standing
    return [question for question in standing if wanted == "changed" and question.category == _CHANGED]


def answer_all(
    reader: FrozenReader, search: BankSearch, streams: Sequence[Stream], wanted: Wanted, cut: Cut, told: Told
) -> Answered:
    """Let the reader answer the questions of conversations that a manager has gone through to the end.

    Args:
        reader: Answers.
        search: Finds what it is shown in the bank that the manager's own rulings left.
        streams: The manager's way through each conversation.
        wanted: Which questions.
        cut: How much it is shown.
        told: Is told of each batch.

    Raises:
        ModelError: The embedder or the reader's model failed.
    """
    asked = [(stream, question) for stream in streams for question in questions_of(stream.story.made, wanted)]
    samples: Samples = {metric: [] for metric in _SCORERS}
    usage = Usage()
    for start in range(0, len(asked), _BATCH):
        part = asked[start : start + _BATCH]
        asks = [
            Ask(question.text, search.for_question(stream.bank, question.text, cut), question.time)
            for stream, question in part
        ]
        for (stream, question), answer in zip(part, reader.answer(asks), strict=True):
            usage += answer.usage
            for metric, scorer in _SCORERS.items():
                value = scorer(answer.text, question.answer or "")
                samples[metric].append(Scored(stream.story.id, question.id, value))
        told.went_on(len(part))
    return Answered(samples, usage)


def question_rows(words: Words, answered: Mapping[str, Answered], add_all: str | None) -> list[QuestionRow]:
    """A row for each manager.

    Args:
        words: The words of the facts that they were told.
        answered: By manager.
        add_all: The manager from which the others' differences are taken, if it is there.
    """
    base = answered[add_all].samples[EM] if add_all is not None else []
    return [
        QuestionRow(
            manager,
            words,
            {metric: mean_interval(values) for metric, values in one.samples.items() if values},
            paired_difference(one.samples[EM], base) if base and manager != add_all else None,
            one.usage,
        )
        for manager, one in answered.items()
    ]
