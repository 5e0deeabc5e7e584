"""What a question is about in a bank of many people: the talks of those it names.

In a bank of two people everything is said by one of them to the other. In a bank of hundreds, "What does Ann dance?"
is about a small part, and what is rare or near has to be judged there: `dance` tells much in the whole bank and nothing
among the memories of a dancer. So the memories of talks with those named are measured by themselves, as if the bank
held no others, and all others are set back. A bank of two people is thereby searched like the same talk in a bank of a
hundred thousand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memory_r1.retrieval.scope_index import NOBODY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memory_r1.retrieval.scope_index import Snapshot

REACH = 2
"""How far from a memory of someone named, in memories before and after, others count as said in a talk with them: as
far as neighbours lend each other their scores. Whatever the same other person said in one go counts with it."""


@dataclass(frozen=True, slots=True)
class Focus:
    """A part of a scope."""

    mask: NDArray[np.bool_]
    """(n,) which rows of the snapshot it is; live ones only."""
    count: int
    """How many."""

    @classmethod
    def of(cls, snapshot: Snapshot, named: Sequence[int]) -> Focus | None:
        """The talks with speakers that a question names, and whatever nobody is known to have said.

        Args:
            snapshot: The scope's memories.
            named: Numbers of the speakers.

        Returns:
            None if nobody is named, if they said nothing, or if the whole scope is in focus, as it always is where only
            two people speak.
        """
        if not named:
            return None
        said = np.zeros(len(snapshot.speaker), np.bool_)
        for number in named:
            said |= snapshot.speaker == number
        if not (said & snapshot.live).any():
            return None
        mask = said | (snapshot.speaker == NOBODY)
        for step in range(1, REACH + 1):
            mask[step:] |= said[:-step]
            mask[:-step] |= said[step:]
        mask |= _in_one_go(snapshot.speaker, mask)
        mask &= snapshot.live
        count = int(np.count_nonzero(mask))
        return cls(mask, count) if count < snapshot.count else None

    def widened(self, snapshot: Snapshot, rows: NDArray[np.intp]) -> Focus | None:
        """The same with further rows; None if that is the whole scope."""
        mask = self.mask.copy()
        mask[rows] = True
        count = int(np.count_nonzero(mask))
        return Focus(mask, count) if count < snapshot.count else None

    def keys(self, snapshot: Snapshot) -> NDArray[np.int64]:
        """Keys of its memories, rising."""
        keys: NDArray[np.int64] = snapshot.keys[self.mask]
        return keys


def _in_one_go(speaker: NDArray[np.int32], mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Rows of all runs of one speaker that the mask touches; a long turn, or its facts, is a run of many."""
    run = np.zeros(len(speaker), np.int32)
    np.cumsum(speaker[1:] != speaker[:-1], out=run[1:])
    touched = np.zeros(int(run[-1]) + 1, np.bool_)
    touched[run[mask]] = True
    found: NDArray[np.bool_] = touched[run]
    return found
