"""What was measured: cells, rows, and whether ours reached its target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import Any, Literal

from benchmarks.layer.systems import OURS


@dataclass
class Cell:
    """One system's figure: a value for each repeat, or a note why there is none."""

    values: list[float] = field(default_factory=list)
    note: str = ""

    @property
    def median(self) -> float | None:
        """The middle one of the repeats."""
        return median(self.values) if self.values else None

    def text(self) -> str:
        """Median and, over several repeats, the range."""
        if not self.values:
            return self.note or "-"
        shown = number(median(self.values))
        if len(self.values) > 1 and min(self.values) != max(self.values):
            shown += f" ({number(min(self.values))}-{number(max(self.values))})"
        return f"{shown} {self.note}".rstrip()


@dataclass
class Row:
    """One line of the table."""

    key: str
    title: str
    unit: str
    target: float | None = None
    better: Literal["lower", "higher", "equal"] = "lower"
    cells: dict[str, Cell] = field(default_factory=dict)
    measured_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def reached(self) -> bool | None:
        """Whether we are within the target, by the median or, for `equal`, in every repeat; None if that is open."""
        ours = self.cells.get(OURS)
        if self.target is None or ours is None or ours.median is None:
            return None
        if self.better == "equal":
            return all(value == self.target for value in ours.values)
        return ours.median <= self.target if self.better == "lower" else ours.median >= self.target

    def target_text(self) -> str:
        """The target with its direction."""
        if self.target is None:
            return ""
        return {"lower": "<= ", "higher": ">= ", "equal": ""}[self.better] + number(self.target)

    def as_dict(self) -> dict[str, Any]:
        """For `results.json`."""
        return {**asdict(self), "reached": self.reached}

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> Row:
        """The inverse of `as_dict`."""
        fields = {name: value for name, value in row.items() if name != "reached"}
        return cls(**{**fields, "cells": {name: Cell(**cell) for name, cell in row["cells"].items()}})


def cells_from(
    rounds: dict[str, list[Any] | str], figure: Callable[[Any], float], note: Callable[[Any], str] | None = None
) -> dict[str, Cell]:
    """One cell a system from the answers of its rounds; a system that failed has its reason instead."""
    return {
        name: Cell(note=answers)
        if isinstance(answers, str)
        else Cell([figure(answer) for answer in answers], note(answers[-1]) if note else "")
        for name, answers in rounds.items()
    }


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1))]


def number(value: float) -> str:
    """Three digits or so, and no exponent."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"
