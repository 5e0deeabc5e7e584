"""The report's pictures, drawn as SVG whose colours follow the reader's light or dark setting.

Each panel is 340 units wide, the width of a phone, so that its text is readable wherever the page puts it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from importlib.resources import files

from memory_r1.bench.report.axes import Axis, linear_axis, log_axis
from memory_r1.bench.report.categories import Category
from memory_r1.bench.report.costs import Spent, spent_by
from memory_r1.bench.report.document import Panel, Picture, between, percent
from memory_r1.bench.report.labels import Box, place_labels
from memory_r1.bench.report.means import F1, Means
from memory_r1.bench.report.run import SystemRun
from memory_r1.bench.statistics import Interval

WIDTH = 340.0
_ROW = 35.0
_TOP = 34.0
_RADIUS = 4.5
_MOST_NAMES = 7
"""With more systems than this, points are numbered, as their names would cover each other."""


def by_category(means: Means) -> Picture:
    """F1 of every system with its interval, over all questions and by category, all on one scale."""
    kinds: list[Category | None] = [None, *means.categories] if len(means.categories) > 1 else [None]
    highs = [_span(found)[1] for kind in kinds for one in means.run.systems if (found := means.mean(one, F1, kind))]
    axis = linear_axis(max(highs, default=0.0), 10, WIDTH - 14)
    panels = tuple(_ranking(means, kind, axis) for kind in kinds)
    return Picture(
        "score-by-category",
        "F1 (Mem0) with 95 % intervals. The filled dot is the best of its panel.",
        panels,
    )


def _ranking(means: Means, kind: Category | None, axis: Axis) -> Panel:
    best = means.best(F1, kind)
    height = _TOP + _ROW * len(means.run.systems) + 22
    parts = [axis.vertical_grid(_TOP, height - 20)]
    most = 0
    for place, system in enumerate(means.run.systems):
        found = means.mean(system, F1, kind)
        top = _TOP + _ROW * place
        parts.append(_text(10, top + 12, system.name, "name strong" if system is best else "name"))
        if found is None:
            parts.append(_text(WIDTH - 14, top + 12, "not asked", "quiet", anchor="end"))
            continue
        most = max(most, found.n)
        parts.append(_text(WIDTH - 14, top + 12, percent(found.mean), "value", anchor="end"))
        parts.append(_whisker(axis, found, top + 20.5, system, filled=system is best))
    title = kind.label if kind else "all answerable questions"
    return Panel(f"{title}, n = {most:,}", WIDTH, height, "".join(parts))


def _whisker(axis: Axis, found: Interval, y: float, system: SystemRun, *, filled: bool) -> str:
    low, high = map(axis.place, _span(found))
    middle = axis.place(found.mean)
    said = f"{system.name}: {percent(found.mean)} ({between(found) or 'no interval'}), n = {found.n}"
    return (
        f'<g><title>{escape(said)}</title><line class="bar" x1="{low:.1f}" x2="{high:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f"{_dot(middle, y, filled=filled)}</g>"
    )


def _dot(x: float, y: float, *, filled: bool) -> str:
    return f'<circle class="{"best" if filled else "dot"}" cx="{x:.1f}" cy="{y:.1f}" r="{_RADIUS}"/>'


def _span(found: Interval) -> tuple[float, float]:
    """The interval's ends; the mean itself if it has none."""
    if found.low is None or found.high is None:
        return found.mean, found.mean
    return found.low, found.high


def against_costs(means: Means) -> Picture | None:
    """F1 against tokens an answer, tokens in all, and memories a conversation; None without any such figure."""
    bills = {system.name: spent_by(system) for system in means.run.systems}
    wanted: tuple[tuple[str, str, Callable[[Spent], float | None]], ...] = (
        ("tokens an answer", "tokens of answering, a question", lambda bill: bill.tokens_an_answer),
        (
            "all tokens",
            "tokens of reading and answering, a question",
            lambda bill: _each(bill.tokens_in_all, bill.answers),
        ),
        ("size of the bank", "memories, a conversation", lambda bill: bill.memories_each),
    )
    panels = []
    for title, unit, value in wanted:
        found = {name: x for name, bill in bills.items() if (x := value(bill)) is not None}
        if (panel := _scatter(means, title, unit, found)) is not None:
            panels.append(panel)
    if not panels:
        return None
    caption = (
        "F1 (Mem0) with 95 % intervals; up and to the left is better. The horizontal axes are logarithmic. The filled "
        "dot is the best."
    )
    if len(bills) > _MOST_NAMES:
        caption += " " + ", ".join(f"{number} {name}" for number, name in enumerate(bills, start=1)) + "."
    return Picture("score-against-cost", caption, tuple(panels))


def _each(total: float, count: int) -> float | None:
    return total / count if count else None


def _scatter(means: Means, title: str, unit: str, values: Mapping[str, float]) -> Panel | None:
    points = [
        (number, system, values[system.name], found)
        for number, system in enumerate(means.run.systems, start=1)
        if system.name in values and (found := means.mean(system, F1)) is not None
    ]
    if not points:
        return None
    height = 300.0
    bottom = height - 34
    up = linear_axis(max(_span(found)[1] for *_, found in points), bottom, _TOP)
    along = log_axis([x for _, _, x, _ in points], 40, WIDTH - 14)
    best = means.best(F1)
    parts = [
        up.horizontal_grid(40, WIDTH - 14),
        along.ticks_below(bottom),
        _text(WIDTH - 14, height - 4, unit, "quiet", "end"),
    ]
    boxes = []
    for number, system, x, found in points:
        place, middle = along.place(x), up.place(found.mean)
        low, high = map(up.place, _span(found))
        said = f"{system.name}: F1 {percent(found.mean)} at {x:,.1f} {unit}"
        parts.append(
            f"<g><title>{escape(said)}</title>"
            f'<line class="bar thin" x1="{place:.1f}" x2="{place:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'
            f"{_dot(place, middle, filled=system is best)}</g>"
        )
        label = system.name if len(means.run.systems) <= _MOST_NAMES else str(number)
        boxes.append((place, middle, label, system is best))
    parts.append(place_labels(boxes, Box(40, _TOP - 8, WIDTH, bottom)))
    return Panel(f"F1 against {title}", WIDTH, height, "".join(parts))


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


_LIGHT = "--paper:#fff;--ink:#1b1f24;--quiet:#5c6570;--line:#dde1e6;--faint:#eceff2;--accent:#0b62c4;--bar:#9db9dc"
_DARK = "--paper:#14171b;--ink:#e6e9ed;--quiet:#9aa4b0;--line:#333a43;--faint:#262c33;--accent:#6cb0ff;--bar:#3f6390"
_FONT = "system-ui,-apple-system,'Segoe UI',Roboto,Arial,sans-serif"


def style() -> str:
    """The style sheet of all panels, which takes its colours from the page."""
    return (files("memory_r1.bench.report") / "picture.css").read_text(encoding="utf-8")


def framed(panel: Panel, place: str = "") -> str:
    """One panel as an SVG element.

    Args:
        panel: The drawing.
        place: Further attributes.
    """
    return (
        f'<svg class="panel" role="img" aria-label="{escape(panel.title)}" '
        f'viewBox="0 0 {panel.width:g} {panel.height:g}"{place}>'
        f'<text class="title" x="10" y="16">{escape(panel.title)}</text>{panel.body}</svg>'
    )


def standalone(picture: Picture) -> str:
    """A picture as a file of its own, its panels three abreast, on its own ground in light and dark."""
    gap = 20.0
    columns = min(3, len(picture.panels))
    parts, top, width = [], gap, gap + columns * (WIDTH + gap)
    for first in range(0, len(picture.panels), columns):
        row = picture.panels[first : first + columns]
        for place, panel in enumerate(row):
            left = gap + place * (WIDTH + gap)
            parts.append(framed(panel, f' x="{left:g}" y="{top:g}" width="{panel.width:g}" height="{panel.height:g}"'))
        top += max(panel.height for panel in row) + gap
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {top:g}" width="{width:g}" height="{top:g}">'
        f"<title>{escape(picture.caption)}</title><style>:root{{{_LIGHT}}}"
        f"@media (prefers-color-scheme:dark){{:root{{{_DARK}}}}}svg{{font-family:{_FONT}}}\n{style()}</style>"
        f'<rect width="100%" height="100%" fill="var(--paper)"/>{"".join(parts)}</svg>\n'
    )
