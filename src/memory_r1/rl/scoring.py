"""Scores many episodes at once, so that the frozen reader answers their questions in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from memory_r1.rl.episode import Episode, Reward
from memory_r1.rl.reader import Ask, FrozenReader


@runtime_checkable
class Asking(Protocol):
    """An episode whose score needs a frozen reader."""

    @property
    def reader(self) -> FrozenReader:
        """Who answers."""
        ...

    def asks(self) -> list[Ask]:
        """What it will be asked."""
        ...


def score_together(episodes: Sequence[Episode]) -> list[Reward]:
    """The scores of finished episodes, in order; the same as scoring each by itself, with far fewer model calls.

    Raises:
        ModelError: A frozen model failed.
    """
    asks: dict[int, tuple[FrozenReader, list[Ask]]] = {}
    for episode in episodes:
        if isinstance(episode, Asking):
            reader = episode.reader
            asks.setdefault(id(reader), (reader, []))[1].extend(episode.asks())
    for reader, wanted in asks.values():
        reader.answer(wanted)
    return [episode.score() for episode in episodes]
