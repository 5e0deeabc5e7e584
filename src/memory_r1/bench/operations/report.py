"""A measurement as JSON, as tables and as a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from memory_r1.bench.operations.answering import Reader
from memory_r1.bench.operations.managers import Ruler, adding_all
from memory_r1.bench.operations.measure import Measured, Plan, Row
from memory_r1.bench.operations.questions import EM, F1, SQUAD_EM, QuestionRow, Wanted
from memory_r1.bench.operations.rates import CAUSES
from memory_r1.bench.operations.story import LEAST_TOLD, Words
from memory_r1.bench.report.document import (
    NOTHING,
    Cell,
    Column,
    Document,
    Section,
    Table,
    count_cell,
    gap_cell,
    percent,
)
from memory_r1.bench.report.markdown import to_markdown
from memory_r1.bench.scores import METRICS
from memory_r1.bench.statistics import Difference, Interval
from memory_r1.errors import InvalidInputError
from memory_r1.rl.operation_report import KINDS

JSON_FILE, MARKDOWN_FILE = "operations.json", "operations.md"

_BY_WORDS: Mapping[Words, str] = {
    "fact": "Facts in the generator's words",
    "said": "Facts in the words they were told in",
}

_ASKED: Mapping[Wanted, str] = {"changed": "Questions about changed facts", "all": "Questions"}

_INTERVALS = (
    "In brackets the 95 % interval (whole conversations are resampled, or single values if there is only one) and n."
)


@dataclass(frozen=True, slots=True)
class Setting:
    """What was measured, for people and for programs."""

    command: str
    version: str
    plan: Plan
    managers: tuple[Ruler, ...]
    model: str | None
    """The agents' language model; None if none needed one."""
    embedder: str
    reader: Reader | None = None
    """Who answers; None if nothing is asked."""


def to_json(setting: Setting, measured: Measured) -> dict[str, Any]:
    """Everything."""
    return {
        "command": setting.command,
        "version": setting.version,
        "plan": asdict(setting.plan),
        "model": setting.model,
        "embedder": setting.embedder,
        "managers": {one.name: _agent(one) for one in setting.managers},
        "reader": None if setting.reader is None else _agent(setting.reader),
        "told": {str(sessions): dict(numbers) for sessions, numbers in measured.told.items()},
        "rows": [
            {
                "manager": row.manager,
                "words": row.words,
                "sessions": row.sessions,
                "rates": {name: _interval(value) for name, value in row.rates.items()},
                "lost_because": {cause: row.causes.get(cause, 0) for cause in CAUSES},
            }
            for row in measured.rows
        ],
        "questions": [
            {
                "manager": row.manager,
                "words": row.words,
                "sessions": setting.plan.sessions[-1],
                "scores": {metric: _interval(value) for metric, value in row.scores.items()},
                "less_add_all": None if row.less_add_all is None else _difference(row.less_add_all),
                "usage": asdict(row.usage),
            }
            for row in measured.questions
        ],
        "usage": [
            {"manager": manager, "words": words, **asdict(usage)}
            for (manager, words), usage in measured.usage.items()
            if usage.calls
        ],
    }


def to_document(setting: Setting, measured: Measured) -> Document:
    """The tables."""
    plan = setting.plan
    rough = next((rate for row in measured.rows for rate in row.rates.values() if rate.rough), None)
    warnings = [] if rough is None else [f"Only {plan.conversations} conversations: the intervals are too narrow."]
    if plan.conversations == 1:
        warnings = ["Only one conversation: the intervals say nothing of others."]
    facts = [
        (
            "Data",
            f"synthetic, {plan.split}, seeds {plan.seed} to {plan.seed + plan.conversations - 1}: "
            f"{plan.conversations} conversations of {plan.sessions[-1]} sessions, {plan.speakers} speakers",
        ),
        *((f"Manager {one.name}", one.about) for one in setting.managers),
        ("Candidates", f"{plan.candidates} memories, found by the product's retriever with {setting.embedder}"),
        ("Version", setting.version),
    ]
    if setting.reader is not None:
        shown = f"shown at most {plan.reader_tokens} tokens of memories, found by the product's retriever"
        facts.insert(-1, ("Reader", f"{setting.reader.about}; {shown}"))
    if setting.model is not None:
        facts.insert(1, ("Model", setting.model))
    about = "What is told, and what right operations make of it; means over the conversations."
    sections = [Section("What is told", "told", (_told(measured),), about)]
    for words in plan.words:
        rows = [row for row in measured.rows if row.words == words]
        tables = [_accuracy(rows)] if plan.gold_banks else []
        tables += [_bank(rows), _mix(rows), _growth(rows)]
        if asked := [row for row in measured.questions if row.words == words]:
            tables.append(_questions(asked, plan, adding_all(setting.managers)))
        sections.append(Section(_BY_WORDS[words], words, tuple(tables)))
    return Document("Operation by operation", tuple(facts), setting.command, tuple(warnings), tuple(sections))


def write_folder(folder: Path, setting: Setting, measured: Measured) -> tuple[Path, ...]:
    """Write `operations.md` and `operations.json`; return their paths.

    Raises:
        InvalidInputError: The folder cannot be written.
    """
    texts = {
        MARKDOWN_FILE: to_markdown(to_document(setting, measured)),
        JSON_FILE: json.dumps(to_json(setting, measured), ensure_ascii=False, indent=2) + "\n",
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise InvalidInputError(f"{folder} cannot be written: {error}.", hint="Name another --out.") from error
    return tuple(folder / name for name in texts)


def _told(measured: Measured) -> Table:
    names = ("facts", *map(str, KINDS), "memories", "characters")
    rows = [
        (count_cell(sessions), *(count_cell(numbers.get(name, 0), 1) for name in names))
        for sessions, numbers in measured.told.items()
    ]
    columns = tuple(Column(f"gold {name}" if name in ("memories", "characters") else name) for name in names)
    last = next(
        (numbers["last"] for sessions, numbers in measured.told.items() if numbers["last"] < sessions - 10), None
    )
    notes = (f"Lives run dry: after session {last:.0f} nothing more is told that is to be remembered.",) if last else ()
    return Table("A conversation, by the gold operations", (Column("sessions"), *columns), tuple(rows), notes)


def _accuracy(rows: Sequence[Row]) -> Table:
    shown = [("all", "accuracy"), *((str(kind), f"accuracy/{kind}") for kind in KINDS)]
    notes = (
        "Right: the gold kind and, for UPDATE and DELETE, the gold memory, which is always among the candidates. What "
        "cannot be used is never right. Facts on which the product asks no model are left out.",
        _INTERVALS,
    )
    return _table("Accuracy on the gold bank by the gold operation, %", rows, shown, notes)


def _bank(rows: Sequence[Row]) -> Table:
    shown = [
        ("lost", "lost"),
        ("duplicate", "duplicate"),
        ("stale", "stale"),
        ("beside", "beside"),
        ("kept over", "retired_kept"),
        ("wrong delete", "wrong_delete"),
        ("mixed", "mixed"),
    ]
    notes = (
        "Lost: of the facts that the gold bank tells, those that no memory tells. Duplicate: of the facts told, those "
        "that more than one memory tells. Stale: of gold's UPDATEs that replaced a value, those whose old value a "
        "memory still tells without the new one; beside: those whose old value is told only beside the new one.",
        "Kept over: of gold's DELETEs, those after which a memory still tells what was retired. Wrong delete: "
        "of the manager's DELETEs, those of a memory that alone told a fact which gold keeps. Mixed: of its "
        "memories, those with facts that gold keeps apart.",
        "Which fact is in which memory is known from where it came from. Only in a text that the manager wrote anew "
        f"are words looked at: it tells a fact if it has {100 * LEAST_TOLD:.0f} % of what only this fact says.",
    )
    table = _table("The bank that its own rulings left, %", rows, shown, notes)
    extra = [
        Cell(", ".join(f"{row.causes[cause]} {cause}" for cause in CAUSES if row.causes.get(cause))) for row in rows
    ]
    columns = (*table.columns, Column("why facts are lost", number=False))
    lines = tuple((*line, cell) for line, cell in zip(table.rows, extra, strict=True))
    return Table(table.title, columns, lines, table.notes)


def _mix(rows: Sequence[Row]) -> Table:
    shown = [
        *((str(kind), f"mix/{kind}") for kind in KINDS),
        ("unusable", "unusable"),
        ("memory shown", "shown"),
    ]
    notes = (
        "Of all facts. Unusable: what the model wrote could not be used and fell back to ADD. Memory shown: of the "
        "facts that change or retire a memory which the bank has, those for which it was among the candidates.",
    )
    return _table("What it did on its own bank, %", rows, shown, notes)


def _growth(rows: Sequence[Row]) -> Table:
    def ratio(value: Interval | None) -> Cell:
        if value is None:
            return Cell(NOTHING)
        ends = "" if value.low is None or value.high is None else f"{value.low:,.2f} to {value.high:,.2f}"
        return Cell(f"{value.mean:,.2f}", ends, order=value.mean)

    def size(value: Interval | None) -> Cell:
        return count_cell(None if value is None else value.mean, 1)

    columns, lines = [Column("manager", number=False), Column("sessions")], [_who(row) for row in rows]
    for what in ("entries", "characters"):
        columns += [Column(what), Column("× gold"), Column("× add-all")]
        for line, row in zip(lines, rows, strict=True):
            line += [size(row.rates.get(what)), *(ratio(row.rates.get(f"{what}/{one}")) for one in ("gold", "added"))]
    notes = ("Means over conversations: the size, and how many times that of the gold bank and of adding every fact.",)
    return Table("Size of its own bank", tuple(columns), tuple(map(tuple, lines)), notes)


def _questions(rows: Sequence[QuestionRow], plan: Plan, add_all: str | None) -> Table:
    metrics = (EM, F1, SQUAD_EM)
    columns = [Column("manager", number=False), *(Column(METRICS[metric]) for metric in metrics)]
    lines = [[Cell(row.manager), *(_share_cell(row.scores.get(metric)) for metric in metrics)] for row in rows]
    notes = [
        "Asked at the end of each conversation, and answered by the same reader from what the product's retriever "
        "finds in the bank that the manager's own rulings left. Questions whose answer held only earlier are left out.",
        _INTERVALS,
    ]
    if add_all is not None:
        columns.append(Column(f"{METRICS[EM]} less {add_all}"))
        for line, row in zip(lines, rows, strict=True):
            line.append(gap_cell(None if row.less_add_all is None else row.less_add_all.gap))
        notes.append(f"Less {add_all}: question by question; each resample takes the same conversations for both.")
    title = f"{_ASKED[plan.ask]} after {plan.sessions[-1]} sessions, %"
    return Table(title, tuple(columns), tuple(map(tuple, lines)), tuple(notes))


def _table(title: str, rows: Sequence[Row], shown: Sequence[tuple[str, str]], notes: tuple[str, ...]) -> Table:
    columns = (Column("manager", number=False), Column("sessions"), *(Column(name) for name, _ in shown))
    lines = tuple((*_who(row), *(_share_cell(row.rates.get(rate)) for _, rate in shown)) for row in rows)
    return Table(title, columns, lines, notes)


def _who(row: Row) -> list[Cell]:
    return [Cell(row.manager), count_cell(row.sessions)]


def _share_cell(value: Interval | None) -> Cell:
    if value is None:
        return Cell(NOTHING)
    ends = "" if value.low is None or value.high is None else f"{percent(value.low)} to {percent(value.high)}; "
    return Cell(percent(value.mean), f"{ends}{value.n:,}", order=value.mean)


def _agent(one: Ruler | Reader) -> dict[str, Any]:
    return {"about": one.about, "adapter": None if one.adapter is None else dict(one.adapter)}


def _difference(value: Difference) -> dict[str, Any]:
    return {**_interval(value.gap), "decided": value.decided, "better": value.better, "worse": value.worse}


def _interval(value: Interval) -> dict[str, Any]:
    return {
        "mean": value.mean,
        "low": value.low,
        "high": value.high,
        "n": value.n,
        "conversations": value.clusters,
        "resampled": value.unit,
    }
