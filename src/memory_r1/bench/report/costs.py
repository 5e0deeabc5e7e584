"""What a system took: memories, operations, tokens, calls and seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from memory_r1.bench.report.run import SystemRun
from memory_r1.bench.system import Cost

KINDS = ("ADD", "UPDATE", "DELETE", "NOOP")
"""The kinds of operation that tables show first."""


@dataclass(frozen=True, slots=True)
class Spent:
    """The bill of one system, over all conversations that it read and all questions that it answered."""

    conversations: int
    turns: int
    memories: int
    characters: int
    operations: Counter[str]
    reading: Cost
    answering: Cost
    adds: int
    """How many adds were timed."""
    add_seconds: tuple[float, float] | None
    """Median and 95th percentile of an add's wall time; None if no add was timed."""
    answers: int
    """Questions answered without an error."""
    answer_seconds: tuple[float, float] | None
    """Median and 95th percentile of an answer's wall time."""

    @property
    def memories_each(self) -> float | None:
        """Live memories a conversation; None if none was read to its end."""
        return self.memories / self.conversations if self.conversations else None

    @property
    def tokens_a_turn(self) -> float | None:
        """Tokens read and written by the language model for each turn that was read."""
        return tokens(self.reading) / self.turns if self.turns else None

    @property
    def tokens_an_answer(self) -> float | None:
        """Tokens read and written by the language model for each answer."""
        return tokens(self.answering) / self.answers if self.answers else None

    @property
    def tokens_in_all(self) -> int:
        """Tokens of reading and answering together."""
        return tokens(self.reading) + tokens(self.answering)


def spent_by(system: SystemRun) -> Spent:
    """Add up what one system took."""
    stats = [one.stats for one in system.stats]
    answered = [one for one in system.predictions.values() if one.error is None]
    operations: Counter[str] = Counter()
    for one in stats:
        operations.update(one.operations)
    adds = [seconds for one in stats for seconds in one.add_seconds]
    return Spent(
        conversations=len(stats),
        turns=sum(one.turns for one in system.stats),
        memories=sum(one.memories for one in stats),
        characters=sum(one.characters for one in stats),
        operations=operations,
        reading=sum((one.ingest for one in stats), Cost()),
        answering=sum((one.cost for one in answered), Cost()),
        adds=len(adds),
        add_seconds=percentiles(adds),
        answers=len(answered),
        answer_seconds=percentiles([one.cost.seconds for one in answered]),
    )


def tokens(cost: Cost) -> int:
    """Tokens read and written."""
    return cost.prompt_tokens + cost.completion_tokens


def percentiles(seconds: Sequence[float]) -> tuple[float, float] | None:
    """Median and 95th percentile, between neighbours where they fall between two; None of nothing.

    Example:
        >>> percentiles([1.0, 2.0, 3.0])
        (2.0, 2.9)
    """
    if not seconds:
        return None
    import numpy as np

    return float(np.percentile(seconds, 50)), float(np.percentile(seconds, 95))


def kinds_of(bills: Sequence[Spent]) -> list[str]:
    """Every kind of operation that some system carried out, the common ones first."""
    named = {kind for one in bills for kind in one.operations}
    return [kind for kind in KINDS if kind in named] + sorted(named - set(KINDS))
