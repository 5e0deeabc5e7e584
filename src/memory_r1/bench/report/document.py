"""What a report is made of, before it is Markdown or HTML: sections of tables, pictures and plain sentences."""

from __future__ import annotations

from dataclasses import dataclass

from memory_r1.bench.statistics import Interval

NOTHING = "–"
"""Stands where a figure does not exist; never for zero."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One field of a table."""

    text: str
    detail: str = ""
    """Small, under or behind the text: an interval, a share."""
    strong: bool = False
    """Best of its column, or a difference that is clear of zero."""
    order: float | None = None
    """What a reader sorts by; None sorts last."""
    warning: bool = False
    """Something is wrong with this row."""


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column."""

    name: str
    number: bool = True
    """Aligned to the right; otherwise text."""
    group: str = ""
    """What it shares with its neighbours, set above them."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under named columns; the first cell of a row names it."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    foreign: bool = False
    """Figures that this run did not measure; set apart so that nobody takes them for ours."""

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.columns) for row in self.rows), self.title


@dataclass(frozen=True, slots=True)
class Beside:
    """Tables that stand beside each other where there is room."""

    tables: tuple[Table, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """One drawing: SVG elements without their frame."""

    title: str
    width: float
    height: float
    body: str


@dataclass(frozen=True, slots=True)
class Picture:
    """Drawings that belong together."""

    name: str
    """Of its file, without the ending."""
    caption: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Points:
    """Sentences, one a line."""

    lines: tuple[str, ...]


Block = Table | Beside | Picture | Points


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report with a heading."""

    title: str
    anchor: str
    blocks: tuple[Block, ...]
    intro: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report."""

    title: str
    facts: tuple[tuple[str, str], ...]
    """What was run: name and value, in order."""
    command: str
    warnings: tuple[str, ...]
    """What a reader must know before any number."""
    sections: tuple[Section, ...]


def percent(value: float, *, signed: bool = False) -> str:
    """A score between 0 and 1 (or a difference of two) as a reader sees it.

    Example:
        >>> percent(0.4502), percent(-0.031, signed=True), percent(0.0004, signed=True)
        ('45.0', '−3.1', '0.0')
    """
    text = f"{100 * value:{'+' if signed else ''}.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def between(value: Interval, *, signed: bool = False) -> str:
    """An interval's ends in percent; empty if it has none."""
    if value.low is None or value.high is None:
        return ""
    return f"{percent(value.low, signed=signed)} to {percent(value.high, signed=signed)}"


def score_cell(value: Interval | None, *, strong: bool = False) -> Cell:
    """A mean in percent with its interval."""
    return Cell(NOTHING) if value is None else Cell(percent(value.mean), between(value), strong, value.mean)


def gap_cell(value: Interval | None, *, unit: str = "") -> Cell:
    """A difference with its interval, strong if the interval is clear of zero.

    Args:
        value: The difference; None if there is none.
        unit: Set behind the difference, e.g. ` %`.
    """
    if value is None:
        return Cell(NOTHING)
    clear = value.low is not None and value.high is not None and (value.low > 0 or value.high < 0)
    return Cell(percent(value.mean, signed=True) + unit, between(value, signed=True), clear, value.mean)


def count_cell(value: float | None, digits: int = 0) -> Cell:
    """A count or a mean of counts.

    Example:
        >>> count_cell(12345).text, count_cell(2.5, 1).text, count_cell(None).text
        ('12,345', '2.5', '–')
    """
    return Cell(NOTHING) if value is None else Cell(f"{value:,.{digits}f}", order=value)


def seconds_cell(value: float | None) -> Cell:
    """Seconds, with as many digits as bear on anything.

    Example:
        >>> [seconds_cell(value).text for value in (0.0, 0.00213, 0.31, 2.468, 154.5)]
        ['0', '0.002', '0.31', '2.5', '154']
    """
    if value is None:
        return Cell(NOTHING)
    digits = 0 if value == 0 or value >= 100 else 1 if value >= 1 else 2 if value >= 0.1 else 3
    return Cell(f"{value:.{digits}f}", order=value)
