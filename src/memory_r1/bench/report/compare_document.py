"""Two runs beside each other, as tables and as a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memory_r1.bench.report.build import data_title, facts
from memory_r1.bench.report.compare import FIRST, LEFT_OUT, METRICS, SECOND, Comparison, Pair
from memory_r1.bench.report.document import (
    Cell,
    Column,
    Document,
    Points,
    Section,
    Table,
    count_cell,
    gap_cell,
    percent,
)
from memory_r1.bench.report.html import to_html
from memory_r1.bench.report.means import F1, Metric
from memory_r1.bench.report.questions import pack
from memory_r1.bench.report.run import Key
from memory_r1.bench.report.write import all_categories, what_is_right
from memory_r1.bench.scores import METRICS as NAMES
from memory_r1.bench.statistics import Difference
from memory_r1.told_paths import told_path

_COMPARED = ("first", "second")


def scores_table(pair: Pair) -> Table:
    """Every score that both have, and the paired difference."""
    rows = [
        _row(Cell(NAMES[metric.key]), found) for metric in METRICS if (found := pair.difference(metric)) is not None
    ]
    return _table("Scores", "score", rows)


def categories_table(comparison: Comparison, pair: Pair, metric: Metric = F1) -> Table:
    """One score by category."""
    rows = [
        _row(Cell(kind.label), found)
        for kind in comparison.categories
        if (found := pair.difference(metric, kind)) is not None
    ]
    return _table(f"{NAMES[metric.key]} by category", "category", rows)


def _table(title: str, first: str, rows: list[tuple[Cell, ...]]) -> Table:
    columns = [
        Column(first, number=False),
        *(
            Column(name)
            for name in ("n", *_COMPARED, "second − first", "relative", "higher in second", "lower in second")
        ),
    ]
    return Table(title, tuple(columns), tuple(rows))


def _row(name: Cell, found: Difference) -> tuple[Cell, ...]:
    return (
        name,
        count_cell(found.gap.n),
        # the difference is second minus first
        Cell(percent(found.second), order=found.second),
        Cell(percent(found.first), order=found.first),
        gap_cell(found.gap),
        gap_cell(found.relative, unit=" %"),
        count_cell(found.better),
        count_cell(found.worse),
    )


def verdicts_table(pair: Pair) -> Table:
    """On how many questions each is right."""
    groups = pair.by_verdict()
    total = len(pair.first.predictions)
    rows = tuple(
        (
            Cell(name if name != LEFT_OUT else "left out: one of them raised"),
            count_cell(len(keys)),
            Cell(f"{100 * len(keys) / total:.1f} %", order=len(keys)),
        )
        for name, keys in groups.items()
        if keys or name != LEFT_OUT
    )
    columns = (Column("questions", number=False), Column("n"), Column("share"))
    return Table("Who is right", columns, rows, notes=(what_is_right(judged=pair.judged),))


def questions_table(pair: Pair, verdict: str, most: int | None = None) -> Table | None:
    """The questions under one verdict with both answers; None if there is none.

    Args:
        pair: The systems.
        verdict: Which, e.g. `FIRST`.
        most: How many to list; None for all.
    """
    keys = pair.by_verdict()[verdict]
    if not keys:
        return None
    shown = keys if most is None else keys[:most]
    columns = tuple(Column(name, number=False) for name in ("question", "asked", "gold", *_COMPARED))
    more = f" ({len(keys):,}, the first {len(shown)} shown)" if len(shown) < len(keys) else f" ({len(keys):,})"
    return Table(f"{verdict.capitalize()}{more}", columns, tuple(_question_row(pair, key) for key in shown))


def _question_row(pair: Pair, key: Key) -> tuple[Cell, ...]:
    mine, theirs = pair.first.predictions[key], pair.second.predictions[key]
    gold = "(the conversation does not say)" if mine.gold is None else mine.gold
    return Cell(key[1]), Cell(mine.question), Cell(gold), Cell(mine.answer), Cell(theirs.answer)


def settings_table(comparison: Comparison) -> Table | None:
    """In which settings the runs differ; None if in none."""
    one, other = _flat(comparison.first.config), _flat(comparison.second.config)
    names = [name for name in {**one, **other} if one.get(name) != other.get(name) and not _is_bill(name)]
    if not names:
        return None
    rows = tuple((Cell(name), Cell(one.get(name, "")), Cell(other.get(name, ""))) for name in names)
    return Table("Settings that differ", tuple(Column(name, number=False) for name in ("setting", *_COMPARED)), rows)


def _is_bill(name: str) -> bool:
    """Whether it is what a judge took, rather than which one it is."""
    return name.startswith("judges.") and not name.endswith(".model")


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, one in value.items():
        if isinstance(one, Mapping):
            found |= _flat(one, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = str(one)
    return found


def to_document(comparison: Comparison) -> Document:
    """The comparison as a document; the single questions are in the page's list."""
    first, second = comparison.first, comparison.second
    sections = []
    for place, pair in enumerate(comparison.pairs):
        tables = (scores_table(pair), verdicts_table(pair), categories_table(comparison, pair))
        sections.append(
            Section(
                pair.name, f"pair-{place}", tables, "In percent and points; bold where the interval is clear of zero."
            )
        )
    settings = settings_table(comparison)
    sections.append(Section("Settings", "settings", (settings or Points(("The two runs have the same settings.",)),)))
    same = [fact for fact in facts(first) if fact in facts(second)]
    named = [("first", told_path(first.folder)), ("second", told_path(second.folder)), *same]
    return Document(f"Two runs on {data_title(first)}", tuple(named), "", warnings(comparison), tuple(sections))


def warnings(comparison: Comparison) -> tuple[str, ...]:
    """What makes the two runs unfit to be compared."""
    said = []
    one, other = (run.data.get("hash") for run in (comparison.first, comparison.second))
    if one != other:
        said.append(f"The runs read different data files: {one} and {other}.")
    said += [
        f"Failed: {system.name} of the {which} run raised on {len(system.errors):,} of {len(system.predictions):,} "
        "questions."
        for pair in comparison.pairs
        for which, system in (("first", pair.first), ("second", pair.second))
        if system.failed
    ]
    return tuple(said)


def to_page(comparison: Comparison) -> str:
    """The comparison as one self-contained HTML page that begins with the questions on which the two disagree."""
    systems = [
        (f"{which}: {system.name}", system)
        for pair in comparison.pairs
        for which, system in (("first", pair.first), ("second", pair.second))
    ]
    judged = all(pair.judged for pair in comparison.pairs)
    questions = {key: one for pair in comparison.pairs for key, one in pair.first.predictions.items()}
    packed = pack(systems, questions, all_categories(comparison.first), judged=judged)
    return to_html(to_document(comparison), packed=packed, right=what_is_right(judged=judged), show="split")


DISAGREE = (FIRST, SECOND)
"""The verdicts that a reader of a comparison looks for."""
