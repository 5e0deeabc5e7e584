"""Places names beside points so that they cover neither each other nor a point."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

_CHARACTER = 6.1
"""Mean width of a character of the labels' 11-unit type, on the wide side."""
_HEIGHT = 12.0
_MOST_CHARACTERS = 22
_RINGS = (9.0, 20.0, 34.0, 50.0)
_DIRECTIONS = ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1))


class Box(NamedTuple):
    """A rectangle."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """Area that two rectangles share."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, width) * max(0.0, height)


def place_labels(points: Sequence[tuple[float, float, str, bool]], frame: Box) -> str:
    """SVG texts with the points' names, each at the nearest free place; a thin line leads to those further off.

    Args:
        points: Place and name of each, and whether to set it in bold.
        frame: What the labels must stay in.
    """
    taken = [Box(x - 6, y - 6, x + 6, y + 6) for x, y, _, _ in points]
    parts = []
    for x, y, name, strong in points:
        shown = shorten(name)
        box, ring = _nearest(x, y, len(shown) * _CHARACTER, frame, taken)
        taken.append(box)
        if ring > _RINGS[0]:
            side = min(max(x, box.left), box.right)
            level = box.bottom if box.bottom < y else box.top if box.top > y else (box.top + box.bottom) / 2
            parts.append(f'<line class="lead" x1="{x:.1f}" y1="{y:.1f}" x2="{side:.1f}" y2="{level:.1f}"/>')
        kind = "label strong" if strong else "label"
        # anchored on the point's side, so that a wider or narrower font keeps its distance
        end, anchor = (box.left, "start") if box.left >= x else (box.right, "end") if box.right <= x else (x, "middle")
        place = f'x="{end:.1f}" y="{box.bottom - 2.5:.1f}" text-anchor="{anchor}"'
        parts.append(f'<text class="{kind}" {place}>{escape(shown)}</text>')
    return "".join(parts)


def shorten(name: str) -> str:
    """A name of at most 22 characters, its middle left out.

    Example:
        >>> shorten("memory-r1-grpo-untrained-manager")
        'memory-r1-g…ed-manager'
    """
    if len(name) <= _MOST_CHARACTERS:
        return name
    half = (_MOST_CHARACTERS - 1) // 2
    return f"{name[: _MOST_CHARACTERS - 1 - half]}…{name[-half:]}"


def _nearest(x: float, y: float, width: float, frame: Box, taken: Sequence[Box]) -> tuple[Box, float]:
    best: tuple[float, Box, float] | None = None
    for ring in _RINGS:
        for right, down in _DIRECTIONS:
            left = x + ring if right > 0 else x - ring - width if right < 0 else x - width / 2
            middle = y + down * (ring + (0 if right else _HEIGHT / 3))
            box = Box(left, middle - _HEIGHT / 2, left + width, middle + _HEIGHT / 2)
            outside = width * _HEIGHT - box.overlap(frame)
            bad = 4 * outside + sum(box.overlap(other) for other in taken)
            if bad < 1e-6:
                return box, ring
            if best is None or bad < best[0]:
                best = bad, box, ring
    assert best is not None
    return best[1], best[2]
