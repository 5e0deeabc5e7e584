"""Prepares turns for the extractor: what is new in them, cut to what a model can read at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from memory_r1.agents.chitchat import is_chitchat
from memory_r1.agents.dates import annotate
from memory_r1.agents.recall import Recalled, strip_recalled
from memory_r1.agents.text import clean, pieces, quote
from memory_r1.data.conversation import Turn

# a small model reads a page well and a chapter badly
MOST_CHARACTERS = 2400
# the end of a turn holds the question that the next one answers
_CONTEXT_CHARACTERS = 160
_SMALLEST_PIECE = 16


@dataclass(frozen=True, slots=True)
class Window:
    """Turns to take facts from, with what is known around them."""

    turns: tuple[Turn, ...]
    context: tuple[Turn, ...] = ()
    """Turns just before, which give no facts but tell what "it" is."""
    known: tuple[str, ...] = ()
    """Texts of memories recalled to the user lately."""
    session_id: str | None = None
    first_index: int | None = None
    """Position of the first turn in its conversation, counted from 0."""
    source: str | None = None
    """Where the turns entered; see `Provenance.source`."""

    @property
    def names(self) -> list[str]:
        """Names of everyone who speaks in the turns or before."""
        return list(dict.fromkeys(turn.speaker for turn in (*self.context, *self.turns)))


@dataclass(frozen=True, slots=True)
class Unit:
    """A turn, or a part of a long one, ready to be read."""

    turn: Turn
    place: int
    """Index of the turn in its window."""
    text: str
    """What is new in it, with absolute dates beside the relative ones."""
    chat: bool = False
    """Whether it holds nothing to remember, so that no model need read it."""

    @property
    def caption(self) -> str:
        """What the turn's picture shows, or nothing."""
        return clean(self.turn.image_caption or "")

    @property
    def speaker(self) -> str:
        """Who said it, on one line."""
        return " ".join(clean(self.turn.speaker).split())

    def line(self, number: int) -> str:
        """The unit as a line of the prompt."""
        picture = f" [picture: {self.caption}]" if self.caption else ""
        return f"[{number}] {quote(self.speaker)[1:-1]}: {quote(self.text + picture)}"


def read_window(window: Window, recalled: Recalled) -> tuple[list[Unit], int]:
    """Reduce turns to what is new in them.

    Returns:
        A unit per turn with anything left, and how many recalled passages were left out.
    """
    units: list[Unit] = []
    repeated = 0
    for place, turn in enumerate(window.turns):
        stripped = strip_recalled(clean(turn.text))
        repeated += stripped != clean(turn.text)
        text, count = recalled.remove(stripped)
        repeated += count
        text = text.strip()
        if text or turn.image_caption:
            unit = Unit(turn, place, annotate(text, turn.time), chat=is_chitchat(text, window.names))
            units.append(unit)
    return units, repeated


def context_lines(window: Window) -> str:
    """The turns before a window, shortened, as text for the prompt; empty if there are none."""
    lines = [
        f"{quote(turn.speaker)[1:-1]}: {quote(_ending(clean(turn.text)))}"
        for turn in window.context
        if turn.text.strip()
    ]
    return "\n".join(["Earlier:", *lines, "Now:", ""]) if lines else ""


def _ending(text: str) -> str:
    """The last words of a text, about `_CONTEXT_CHARACTERS` characters."""
    if len(text) <= _CONTEXT_CHARACTERS:
        return text
    return "... " + text[-_CONTEXT_CHARACTERS:].partition(" ")[2]


def batches(units: Sequence[Unit], fits: Callable[[Sequence[Unit]], bool]) -> Iterator[tuple[list[Unit], bool]]:
    """Group units into batches that a model can read at once, cutting those that are too long.

    Args:
        units: What there is to read, in order.
        fits: Whether a batch fits the model's context window.

    Yields:
        A batch, and whether it can be read; one that cannot holds a single unit that no cutting makes fit.
    """
    batch: list[Unit] = []
    size = 0
    for unit in _cut(units, MOST_CHARACTERS):
        if batch and size + len(unit.text) > MOST_CHARACTERS:
            yield from _fitted(batch, fits)
            batch, size = [], 0
        batch.append(unit)
        size += len(unit.text)
    if batch:
        yield from _fitted(batch, fits)


def _fitted(batch: list[Unit], fits: Callable[[Sequence[Unit]], bool]) -> Iterator[tuple[list[Unit], bool]]:
    if fits(batch):
        yield batch, True
        return
    if len(batch) == 1:
        limit = len(batch[0].text) // 2
        halves = list(_cut(batch, limit)) if limit >= _SMALLEST_PIECE else batch
        if len(halves) == 1:
            yield batch, False
            return
    else:
        halves = batch
    middle = len(halves) // 2
    yield from _fitted(halves[:middle], fits)
    yield from _fitted(halves[middle:], fits)


def _cut(units: Sequence[Unit], limit: int) -> Iterator[Unit]:
    for unit in units:
        if len(unit.text) <= limit:
            yield unit
            continue
        for number, text in enumerate(pieces(unit.text, limit)):
            # the picture is told once
            turn = unit.turn if number == 0 else replace(unit.turn, image_caption=None)
            yield replace(unit, turn=turn, text=text)
