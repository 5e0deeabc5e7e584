"""Axes of the report's pictures: from a value to a place, and the ticks that a reader reads it back by."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

_LEAST_DECADES = 0.7
"""Least range of a logarithmic axis: any such range holds two of 1, 2, 5, 10, ..."""
_MOST_TICKS = 6


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale with its ticks."""

    place: Callable[[float], float]
    ticks: tuple[tuple[float, str], ...]
    """Value and label."""

    def vertical_grid(self, top: float, bottom: float) -> str:
        """Upright lines at the ticks, labelled below."""
        return "".join(
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>'
            f'<text class="tick" x="{x:.1f}" y="{bottom + 14:.1f}" text-anchor="middle">{escape(label)}</text>'
            for x, label in ((self.place(value), label) for value, label in self.ticks)
        )

    def horizontal_grid(self, left: float, right: float) -> str:
        """Level lines at the ticks, labelled on the left."""
        return "".join(
            f'<line class="grid" x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="tick" x="{left - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{escape(label)}</text>'
            for y, label in ((self.place(value), label) for value, label in self.ticks)
        )

    def ticks_below(self, bottom: float) -> str:
        """Short marks under a level line, labelled."""
        return "".join(
            f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom:.1f}" y2="{bottom + 4:.1f}"/>'
            f'<text class="tick" x="{x:.1f}" y="{bottom + 15:.1f}" text-anchor="middle">{escape(label)}</text>'
            for x, label in ((self.place(value), label) for value, label in self.ticks)
        )


def linear_axis(most: float, start: float, end: float) -> Axis:
    """From 0 to a round number above `most`, labelled in percent.

    Example:
        >>> axis = linear_axis(0.47, 0, 100)
        >>> [label for _, label in axis.ticks], axis.place(0.25)
        (['0', '10', '20', '30', '40', '50'], 50.0)
    """
    step = next(one for one in (0.01, 0.02, 0.05, 0.1, 0.2, 0.25) if most / one <= 5 or one == 0.25)
    count = max(1, math.ceil(most / step - 1e-9))
    top = step * count
    return Axis(
        lambda value: start + (end - start) * value / top,
        tuple((step * one, f"{100 * step * one:.0f}") for one in range(count + 1)),
    )


def log_axis(values: Sequence[float], start: float, end: float) -> Axis:
    """Logarithmic over the values' range, with a place of its own at the near end for 0 if some value is 0.

    Example:
        >>> axis = log_axis([0, 30, 900], 0, 300)
        >>> [label for _, label in axis.ticks], axis.place(0)
        (['0', '50', '100', '200', '500'], 15.0)
    """
    positive = [value for value in values if value > 0] or [1.0]
    zero = len([value for value in values if value > 0]) < len(values)
    low, high = math.log10(min(positive)), math.log10(max(positive))
    wider = max(0.0, _LEAST_DECADES - (high - low)) / 2
    low, high = low - wider, high + wider
    margin = 0.05 * (end - start)
    first = start + (0.2 * (end - start) if zero else margin)
    last = end - margin

    def place(value: float) -> float:
        if value <= 0:
            return start + margin
        return first + (last - first) * (math.log10(value) - low) / (high - low)

    steps = next(
        steps for steps in ((1, 2, 5), (1, 3), (1,)) if steps == (1,) or len(steps) * (high - low) <= _MOST_TICKS
    )
    powers = range(math.floor(low), math.ceil(high) + 1)
    round_ones = [step * 10.0**power for power in powers for step in steps]
    ticks = [(value, _short(value)) for value in round_ones if low - 0.02 <= math.log10(value) <= high + 0.02]
    return Axis(place, tuple([(0.0, "0"), *ticks] if zero else ticks))


def _short(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
