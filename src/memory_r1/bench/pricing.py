"""Puts what was measured beside what a system counted itself.

A system's own wall times are too short when completions come from a cache, and too long when it waited for others to
share a batch. Where its count of calls agrees with ours, its times are scaled to the time measured, in which a
completion takes what it took when it was computed: its part of its batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from memory_r1.bench.meter import share
from memory_r1.bench.system import Cost, Stats, SystemAnswer


def priced(answers: Sequence[SystemAnswer], measured: Cost) -> list[SystemAnswer]:
    """Answers with their costs; what a system did not count is an even share of what was measured.

    Args:
        answers: As the system gave them, together.
        measured: What all of them took.

    Example:
        >>> [one.cost.calls for one in priced([SystemAnswer("a"), SystemAnswer("b")], Cost(calls=2))]
        [1, 1]
    """
    if all(answer.cost == Cost() for answer in answers):
        costs = share(measured, len(answers))
        return [replace(answer, cost=cost) for answer, cost in zip(answers, costs, strict=True)]
    factor = _stretch(sum((answer.cost for answer in answers), Cost()), measured)
    return [
        replace(answer, cost=replace(answer.cost, seconds=answer.cost.seconds * factor)) if factor != 1 else answer
        for answer in answers
    ]


def priced_stats(stats: Stats, measured: Cost) -> Stats:
    """The stats of reading a conversation with its cost: that measured, if the system counted nothing.

    Args:
        stats: As the system gave them.
        measured: What reading took.
    """
    if stats.ingest == Cost():
        return replace(stats, ingest=measured)
    factor = _stretch(stats.ingest, measured)
    if factor == 1:
        return stats
    return replace(
        stats,
        ingest=replace(stats.ingest, seconds=measured.seconds),
        add_seconds=tuple(seconds * factor for seconds in stats.add_seconds),
    )


def _stretch(own: Cost, measured: Cost) -> float:
    """Time measured by a system's own; 1 if it did something that we did not measure."""
    alike = own.calls == measured.calls and own.calls > 0 and own.seconds > 0
    return measured.seconds / own.seconds if alike else 1.0
