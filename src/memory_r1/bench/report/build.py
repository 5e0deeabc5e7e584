"""Puts a run's report together: which tables and pictures, in which order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memory_r1.bench.report import cost_tables, pictures, score_tables
from memory_r1.bench.report.categories import categories_of
from memory_r1.bench.report.document import Beside, Block, Cell, Column, Document, Points, Section, Table
from memory_r1.bench.report.means import F1, Means
from memory_r1.bench.report.notes import judges_told, labels_told, limits, paper_notes, warnings
from memory_r1.bench.report.paper import LOCOMO_N, OVERALL
from memory_r1.bench.report.run import Run

TITLES = {"locomo": "LoCoMo", "longmemeval": "LongMemEval", "msc": "MSC"}
"""How data sets are written, by how their names begin."""


def build(run: Run) -> Document:
    """Measure a run and lay out its report."""
    means = Means(run)
    sections = [
        _headline(means),
        _systems(run),
        *_differences(means),
        _categories(means),
        *_abstention(means),
        Section("Definitions", "definitions", (score_tables.definitions(means),)),
        Section("Retrieval", "retrieval", (cost_tables.retrieval(run),)),
        _costs(means),
        *_errors(run),
        Section("Limits", "limits", (Points(limits(means)),)),
    ]
    return Document(
        f"Memory systems on {data_title(run)}{', corrected labels' if run.labels else ''}",
        facts(run),
        command_of(run.config),
        warnings(run),
        tuple(sections),
    )


def data_title(run: Run) -> str:
    """The data set as it writes itself."""
    name = run.data_name
    return next((title for start, title in TITLES.items() if name.lower().startswith(start)), name)


def command_of(config: Mapping[str, Any]) -> str:
    """The command line of a run, and below it the one that scored it anew; empty if none is known."""
    rescored = config.get("rescored")
    commands = [config.get("command"), rescored.get("command") if isinstance(rescored, Mapping) else None]
    return "\n".join(one if isinstance(one, str) else " ".join(map(str, one)) for one in commands if one)


def facts(run: Run) -> tuple[tuple[str, str], ...]:
    """What was run, in a few lines."""
    config, data = run.config, run.data
    hashed = str(data.get("hash") or "")
    pairs = (
        ("data", ", ".join(one for one in (run.data_name, run.part) if one) + (f" ({hashed[:12]})" if hashed else "")),
        ("labels", labels_told(run)),
        ("questions", _asked(run)),
        ("language model", config.get("model")),
        ("embedder", config.get("embedder")),
        ("judge", judges_told(run)),
        ("seed", config.get("seed")),
        ("version", config.get("version")),
        ("started", config.get("started")),
    )
    return tuple((name, _plain(value)) for name, value in pairs if value is not None)


def _asked(run: Run) -> str:
    sample, sessions = run.data.get("sample"), run.data.get("sessions")
    drawn = f" of {int(sample['of']):,}" if isinstance(sample, Mapping) and "of" in sample else ""
    count = len({one for one, _ in run.questions})
    begun = f", the first {sessions} sessions of each" if sessions else ""
    return f"{len(run.questions):,}{drawn} in {count:,} conversation{'' if count == 1 else 's'}{begun}"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_plain(one)}" for name, one in value.items())
    return str(value)


def _headline(means: Means) -> Section:
    table = score_tables.headline(means)
    return Section(
        "Scores",
        "scores",
        (
            Beside((table, score_tables.printed(OVERALL))) if means.run.is_locomo_test else table,
            pictures.by_category(means),
        ),
        "In percent, by Mem0's definitions, with 95 % intervals. The best of a column is bold.",
    )


def _systems(run: Run) -> Section:
    rows = tuple((score_tables.name_cell(one), Cell(one.about or "It says nothing of itself.")) for one in run.systems)
    table = Table("What each system is", (Column("system", number=False), Column("what it is", number=False)), rows)
    return Section(
        "Systems",
        "systems",
        (table,),
        "All on the same language model, embedder and reader limits; a re-implementation is not the original package.",
    )


def _differences(means: Means) -> list[Section]:
    systems = means.run.systems
    if len(systems) < 2:
        return []
    first, best = systems[0], means.best(F1)
    tables: list[Block] = []
    if best is not None:
        tables.append(score_tables.differences(means, best, f"Minus the best F1: {best.name}"))
    if best is not first:
        tables.append(score_tables.differences(means, first, f"Minus the first system: {first.name}"))
    intro = (
        "In points, paired by question, over those that both answered. Bold where the interval is clear of zero. "
        "Relative: the difference as a share of the other's mean."
    )
    return [Section("Differences", "differences", tuple(tables), intro)]


def _categories(means: Means) -> Section:
    run = means.run
    blocks: list[Block] = []
    for kind in means.categories:
        table = score_tables.by_category(means, kind)
        beside = run.is_locomo_test and kind.number in LOCOMO_N
        blocks.append(Beside((table, score_tables.printed(kind.number))) if beside and kind.number else table)
    if run.is_locomo_test:
        blocks.append(Points(paper_notes(run)))
    intro = "LoCoMo's own numbers and names; other harnesses permute the names." if run.is_locomo else ""
    return Section("By category", "categories", tuple(blocks), intro)


def _abstention(means: Means) -> list[Section]:
    table = score_tables.abstention(means)
    if table is None:
        return []
    number = next((one.number for one in categories_of(means.run, answerable=False)), None)
    name = f"Abstention (category {number})" if number else "Abstention"
    return [Section(name, "abstention", (table,), "Apart from every other score, as they reward opposite things.")]


def _costs(means: Means) -> Section:
    blocks: list[Block] = [cost_tables.bank(means.run), cost_tables.effort(means.run)]
    drawn = pictures.against_costs(means)
    if drawn is not None:
        blocks.append(drawn)
    return Section("Bank and cost", "costs", tuple(blocks))


def _errors(run: Run) -> list[Section]:
    tables = cost_tables.errors(run)
    return [Section("Errors", "errors", tables)] if tables else []
