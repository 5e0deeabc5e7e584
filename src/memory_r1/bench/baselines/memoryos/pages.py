"""MemoryOS's pages and mid-term segments: how pages find their segment, and how hot a segment is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from memory_r1.bench.baselines.entries import Entries, Entry, sources
from memory_r1.bench.baselines.rival import said
from memory_r1.data.conversation import Session, Turn

_COOLING_HOURS = 24.0
SIMILARITY = 0.6
"""Least similarity with which a page joins a segment, of cosine plus the overlap of keywords."""


@dataclass(slots=True)
class Chain:
    """Pages in a row that go on with one another; they share it."""

    summary: str = "None"


@dataclass(slots=True)
class Page:
    """What one side said and what the other answered."""

    text: str
    """A line for each turn."""
    time: datetime | None
    turns: tuple[str, ...]
    chain: Chain = field(default_factory=Chain)
    key: int = -1
    """Its id in the mid-term memory, once it is there."""
    analysed: bool = False


@dataclass(slots=True)
class Segment:
    """Pages of one topic."""

    summary: str
    keywords: frozenset[str]
    touched: datetime | None
    """By the conversation's clock."""
    pages: list[Page] = field(default_factory=list)
    length: int = 0
    """Pages that came since the last analysis."""

    def heat(self, now: datetime | None) -> float:
        """Pages since the last analysis, plus a recency that falls by e in 24 hours; 1 where nothing is dated.

        MemoryOS adds the number of times that the segment was found; nothing is asked while a conversation is read.
        """
        hours = (now - self.touched).total_seconds() / 3600 if now and self.touched else 0.0
        return self.length + math.exp(-max(0.0, hours) / _COOLING_HOURS)


class MidTerm:
    """All segments, found by their summaries, and all their pages.

    Args:
        summaries: An empty store.
        pages: Another one.
    """

    def __init__(self, summaries: Entries, pages: Entries) -> None:
        self.summaries, self.pages = summaries, pages
        self.segments: dict[int, Segment] = {}
        self.chains: dict[int, Chain] = {}
        """By the page's id."""

    def insert(self, page: Page, summary: str, keywords: Sequence[str], now: datetime | None) -> bool:
        """Put a page into the segment that is most like it, or into a new one.

        Args:
            page: A page; it may be in other segments already.
            summary: What it is about.
            keywords: The same in words.
            now: Time by the conversation's clock.

        Returns:
            Whether the segment is new.
        """
        words = frozenset(word.casefold() for word in keywords)
        scored = [
            (score + _overlap(self.segments[key].keywords, words), -key)
            for key, score in self.summaries.nearest(summary, len(self.summaries))
        ]
        score, key = max(scored, default=(-1.0, 0))
        segment = self.segments.get(-key)
        if new := segment is None or score < SIMILARITY:
            segment = Segment(summary, words, now)
            self.segments[self.summaries.add(Entry(summary, page.time, page.turns))] = segment
        if page.key < 0:
            page.key = self.pages.add(Entry(page.text, page.time, page.turns))
            self.chains[page.key] = page.chain
        segment.pages.append(page)
        segment.length += 1
        segment.touched = now
        return new

    def nearest_pages(self, query: str, segments: int, pages: int, floor: float) -> list[int]:
        """Ids of the pages most like a query among those of the segments most like it, best first."""
        near = self.summaries.nearest(query, segments, floor=floor)
        inside = {page.key for key, _ in near for page in self.segments[key].pages}
        return [key for key, _ in self.pages.nearest(query, pages, floor=floor, among=inside)]

    def hottest(self, now: datetime | None) -> Segment | None:
        """The segment with the most heat."""
        return max(self.segments.values(), key=lambda segment: segment.heat(now), default=None)


def pages_of(session: Session, first: str) -> list[Page]:
    """A session as pages: each begins with the words of the speaker `first`, the answer is everybody else's.

    Turns in a row by one side belong together.
    """
    groups: list[list[Turn]] = []
    for turn in session.turns:
        opens = turn.speaker == first and bool(groups) and groups[-1][-1].speaker != first
        if opens or not groups:
            groups.append([])
        groups[-1].append(turn)
    return [
        Page(
            "\n".join(f"{turn.speaker}: {said(turn)}" for turn in group),
            group[0].time or session.time,
            sources(turn.id for turn in group),
        )
        for group in groups
    ]


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other) if one and other else 0.0
