"""Whether the memories that a reader was given, and those that it kept, come from the turns that hold the answer."""

from __future__ import annotations

from dataclasses import dataclass

from memory_r1.bench.report.run import SystemRun
from memory_r1.bench.retrieval_scores import retrieval_samples
from memory_r1.bench.statistics import Interval, mean_interval


@dataclass(frozen=True, slots=True)
class Found:
    """Retrieval and distillation of one system."""

    given: float
    """Memories given to the reader, mean an answered question."""
    kept: float
    """Memories kept in the distillation, mean an answered question."""
    scores: dict[str, Interval]
    """By the names of `retrieval_samples`; over answerable questions that name their evidence."""


def found_by(system: SystemRun) -> Found:
    """Measure one system; one that does not know where its memories come from has no scores."""
    answered = [one for one in system.predictions.values() if one.error is None]
    given = [memory for one in answered for memory in one.memories]
    # what does not know its sources is not scored as if it had found nothing
    known = not given or any(memory.turns for memory in given)
    samples = retrieval_samples([one for one in answered if one.gold is not None]) if known else {}
    count = max(1, len(answered))
    return Found(
        len(given) / count,
        sum(memory.kept for memory in given) / count,
        {name: mean_interval(scored) for name, scored in samples.items()},
    )
