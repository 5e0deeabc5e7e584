"""Where a fact goes that is hardly worth a memory: behind what its speaker told last, on the same day.

So nothing is lost, and the bank does not grow by a memory for each friendly word.
"""

from __future__ import annotations

from dataclasses import replace

from memory_r1.agents.joining import has_room, put_behind
from memory_r1.agents.results import Ruling
from memory_r1.bank.fact import Fact
from memory_r1.bank.memory import MemoryRecord
from memory_r1.bank.operation import OperationKind


def put_aside(ruling: Ruling, fact: Fact, told: MemoryRecord, index: int) -> Ruling | None:
    """The ruling that puts a fact behind a memory instead of adding it; None: not of that day, or there is no room.

    Args:
        ruling: To ADD the fact, which is hardly worth it.
        fact: The fact.
        told: The newest memory that the fact's speaker told.
        index: What `told` has as a target.
    """
    days = {time.date() if time else None for time in (told.event_time, fact.event_time)}
    if len(days) > 1 or None in days or not has_room(told, fact):
        return None
    return replace(ruling, kind=OperationKind.UPDATE, target=index, text=put_behind(told, fact), aside=False)
