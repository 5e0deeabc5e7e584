"""How much better a run has become on its held-out tasks: task by task, with an interval."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from memory_r1.bench.statistics import Difference, Interval, Scored, paired_difference

if TYPE_CHECKING:
    from memory_r1.rl.run_folder import RunFolder

_SEPARATOR = re.compile(r"[/#]")


def improvement(run: RunFolder, term: str = "reward") -> Difference | None:
    """What a run's held-out tasks were worth when they were last tried, less before the first step.

    The interval is that of `memory_r1.bench.statistics.paired_difference`: tasks from one conversation are resampled
    together.

    Args:
        run: The run.
        term: `reward`, or a term of the reward that all of the tasks have.

    Returns:
        None if they were not tried before the first step and, all of them, after one, or lack the term.
    """
    tries: defaultdict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for row in run.held_out():
        if term in row:
            tries[row["step"]].append(row)
    before = tries.pop(0, [])
    # the last try of a run that was killed, or whose disk is full, may be there in part
    whole = [step for step, rows in tries.items() if [one["task"] for one in rows] == [one["task"] for one in before]]
    if not whole:
        return None
    return paired_difference(_scored(tries[max(whole)], term), _scored(before, term))


def _scored(rows: Sequence[Mapping[str, Any]], term: str) -> list[Scored]:
    # the same question may stand behind several lists of memories; tasks are always tried in the same order
    return [Scored(conversation_of(row["task"]), f"{place} {row['task']}", row[term]) for place, row in enumerate(rows)]


def conversation_of(task: str) -> str:
    """The conversation that a task comes from, by its id.

    Example:
        >>> conversation_of("synthetic-validation-3/D1:4/0"), conversation_of("conv-30#7")
        ('synthetic-validation-3', 'conv-30')
    """
    return _SEPARATOR.split(task)[0]


def told(gap: Interval) -> str:
    """A difference in words.

    Example:
        >>> told(Interval(0.055, 0.012, 0.098, 240, 8, "conversation"))
        '+0.055 (95 % interval +0.012 to +0.098, of 8 conversations)'
        >>> told(Interval(0.055, None, None, 1, 1, "question"))
        '+0.055'
    """
    if gap.low is None or gap.high is None:
        return f"{gap.mean:+.3f}"
    units = gap.clusters if gap.unit == "conversation" else gap.n
    of = f"{units} {'conversations' if gap.unit == 'conversation' else 'tasks'}"
    rough = ", too few to rely on" if gap.rough else ""
    return f"{gap.mean:+.3f} (95 % interval {gap.low:+.3f} to {gap.high:+.3f}, of {of}{rough})"
