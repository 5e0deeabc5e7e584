"""A measurement as JSON, as tables and as a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memory_r1.bench.dilution.measure import Measured
from memory_r1.bench.dilution.probe import DEPTHS, FIXED
from memory_r1.bench.dilution.summary import KEPT, SizeSummary
from memory_r1.bench.report.costs import percentiles
from memory_r1.bench.report.document import (
    Cell,
    Column,
    Document,
    Points,
    Section,
    Table,
    count_cell,
    gap_cell,
    score_cell,
)
from memory_r1.bench.report.markdown import to_markdown
from memory_r1.bench.statistics import Interval
from memory_r1.errors import InvalidInputError

JSON_FILE, MARKDOWN_FILE, QUESTIONS_FILE = "dilution.json", "dilution.md", "questions.jsonl"

_NAMES = {
    **{f"recall@{k}": f"recall@{k}" for k in DEPTHS},
    "dynamic.recall": "recall, dynamic",
    "dynamic.f1": "F1, dynamic",
    "fixed.f1": f"F1, {FIXED}",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """What was measured, for people and for programs."""

    command: str
    version: str
    data: Mapping[str, Any]
    """As `BenchData.told` says it."""
    embedder: str
    budget_tokens: int
    seed: int
    usable: Mapping[str, tuple[int, int]]
    """As `Distractors.usable` says it."""
    model: str | None = None
    """The reader's; None without one."""
    answerer: str | None = None
    """Folder and hash of the reader's adapter."""
    machine: Mapping[str, Any] | None = None


def to_json(setting: Setting, measured: Measured, sizes: Sequence[SizeSummary]) -> dict[str, Any]:
    """Everything but the single questions."""
    embedding = percentiles(measured.embed_seconds)
    return {
        "command": setting.command,
        "version": setting.version,
        "data": dict(setting.data),
        "embedder": setting.embedder,
        "budget_tokens": setting.budget_tokens,
        "fixed": FIXED,
        "seed": setting.seed,
        "model": setting.model,
        "answerer": setting.answerer,
        "machine": dict(setting.machine or {}),
        "distractors": {name: {"usable": used, "of": there} for name, (used, there) in setting.usable.items()},
        "questions_left_out": measured.left_out,
        "embedding_a_question_seconds": None if embedding is None else {"p50": embedding[0], "p95": embedding[1]},
        "sizes": [
            {
                "size": one.size,
                "memories": one.memories,
                "metrics": {name: _interval(value) for name, value in one.metrics.items()},
                "kept": {name: _interval(value) for name, value in one.kept.items()},
                "dynamic_less_fixed": {
                    name: {**_interval(value.gap), "relative": value.relative and _interval(value.relative)}
                    for name, value in one.dynamic_over_fixed.items()
                },
                "search_seconds": {"p50": one.seconds[0], "p95": one.seconds[1]},
                "first_search_seconds": one.load_seconds,
                "sources": one.sources,
            }
            for one in sizes
        ],
    }


def to_document(setting: Setting, measured: Measured, sizes: Sequence[SizeSummary]) -> Document:
    """The tables."""
    rough = next((one for one in sizes[0].metrics.values() if one.rough), None)
    warnings = [] if rough is None else [f"Only {rough.clusters} conversations: the intervals are too narrow."]
    tables = [_found(sizes), _cuts(sizes)]
    if any(one.kept for one in sizes):
        tables.insert(1, _kept(sizes))
    tables.append(_time(sizes, measured))
    facts = [
        ("Data", f"{setting.data['name']} ({setting.data['part']})"),
        ("Questions", f"{sizes[0].metrics['recall@10'].n:,}; {measured.left_out:,} without known evidence left out"),
        ("Memories", "turns, as in the system rag-hybrid; one bank in one scope for each conversation"),
        ("Embedder", setting.embedder),
        ("Dynamic cut", f"where the score falls off, within {setting.budget_tokens:,} tokens (estimated)"),
        ("Reader", "none" if setting.model is None else f"{setting.model}, answerer {setting.answerer or 'untrained'}"),
        ("Version", setting.version),
    ]
    about = "The same questions, while memories of other people's conversations join the bank."
    section = Section("Results", "results", tuple(tables), about)
    return Document(
        "Big banks",
        tuple(facts),
        setting.command,
        tuple(warnings),
        (section, Section("What the banks are filled with", "distractors", (Points(_sources(setting, sizes)),))),
    )


def check_folder(folder: Path) -> None:
    """Make a folder, so that a long measurement does not end with nowhere to go.

    Raises:
        InvalidInputError: It cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKDOWN_FILE).touch()
    except OSError as error:
        raise InvalidInputError(f"{folder} cannot be written: {error}.", hint="Name another --out.") from error


def write_folder(folder: Path, setting: Setting, measured: Measured, sizes: Sequence[SizeSummary]) -> tuple[Path, ...]:
    """Write `dilution.md`, `dilution.json` and `questions.jsonl`; return their paths.

    Raises:
        InvalidInputError: The folder cannot be written.
    """
    texts = {
        MARKDOWN_FILE: to_markdown(to_document(setting, measured, sizes)),
        JSON_FILE: json.dumps(to_json(setting, measured, sizes), ensure_ascii=False, indent=2) + "\n",
        QUESTIONS_FILE: "".join(one.model_dump_json() + "\n" for one in measured.probes),
    }
    check_folder(folder)
    try:
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise InvalidInputError(f"{folder} cannot be written: {error}.", hint="Free some space.") from error
    return tuple(folder / name for name in texts)


def _found(sizes: Sequence[SizeSummary]) -> Table:
    columns = (Column("bank", number=False), Column("memories"), Column("n"))
    shown = [*(f"recall@{k}" for k in DEPTHS), *(name for name in KEPT if name.endswith("f1"))]
    shown = [name for name in shown if name in sizes[0].metrics]
    rows = [
        (
            Cell(_label(one)),
            count_cell(one.memories),
            count_cell(one.metrics["recall@10"].n),
            *(score_cell(one.metrics[name]) for name in shown),
        )
        for one in sizes
    ]
    return Table(
        "Evidence found and answers, %",
        (*columns, *(Column(_NAMES[name]) for name in shown)),
        tuple(rows),
        ("With 95 % intervals; whole conversations are resampled, or questions if there is only one.",),
    )


def _kept(sizes: Sequence[SizeSummary]) -> Table:
    shown = [name for name in KEPT if any(name in one.kept for one in sizes)]
    rows = [
        (Cell(_label(one)), *(score_cell(one.kept.get(name)) for name in shown))
        for one in sizes
        if one.size is not None
    ]
    return Table(
        "What is left of the undiluted bank's figure, %",
        (Column("bank", number=False), *(Column(_NAMES[name]) for name in shown)),
        tuple(rows),
        ("Paired, question by question, with 95 % intervals.",),
    )


def _cuts(sizes: Sequence[SizeSummary]) -> Table:
    rows = []
    for one in sizes:
        metrics = one.metrics
        saved = one.dynamic_over_fixed["tokens"]
        rows.append(
            (
                Cell(_label(one)),
                count_cell(metrics["dynamic.memories"].mean, 1),
                count_cell(metrics["dynamic.tokens"].mean),
                score_cell(metrics["dynamic.recall"]),
                score_cell(metrics["dynamic.precision"]),
                score_cell(metrics["dynamic.foreign"]),
                count_cell(metrics["fixed.tokens"].mean),
                score_cell(metrics["fixed.precision"]),
                score_cell(metrics["fixed.foreign"]),
                gap_cell(saved.relative, unit=" %"),
            )
        )
    cut = [Column(name, group="dynamic") for name in ("memories", "tokens", "recall", "precision", "from others")]
    fixed = [Column(name, group=str(FIXED)) for name in ("tokens", "precision", "from others")]
    return Table(
        f"What the reader is handed: dynamic cut against the first {FIXED}, %",
        (Column("bank", number=False), *cut, *fixed, Column("tokens, dynamic against fixed")),
        tuple(rows),
        ("Precision: share of the memories that come from evidence. From others: from other conversations.",),
    )


def _time(sizes: Sequence[SizeSummary], measured: Measured) -> Table:
    rows = [(Cell(_label(one)), *(_milliseconds(value) for value in (*one.seconds, one.load_seconds))) for one in sizes]
    embedding = percentiles(measured.embed_seconds)
    notes = ["A search of the dynamic cut, without embedding the question."]
    if embedding is not None:
        notes.append(f"Embedding a question takes {1000 * embedding[0]:.1f} ms (p50) more.")
    return Table(
        "Wall time of a search, ms",
        (Column("bank", number=False), Column("p50"), Column("p95"), Column("first search")),
        tuple(rows),
        tuple(notes),
    )


def _sources(setting: Setting, sizes: Sequence[SizeSummary]) -> tuple[str, ...]:
    lines = [
        f"{name}: {used:,} of {there:,} conversations can be used, having no speaker of the same name"
        for name, (used, there) in setting.usable.items()
    ]
    for one in sizes:
        if one.sources:
            parts = ", ".join(f"{count:,.0f} of {name}" for name, count in one.sources.items())
            lines.append(f"{_label(one)} memories: {parts}, on average")
    return (*lines, "Turns that name a speaker of the conversation asked about are left out.")


def _label(one: SizeSummary) -> str:
    return "undiluted" if one.size is None else f"{one.size:,}"


def _milliseconds(seconds: float) -> Cell:
    return Cell(f"{1000 * seconds:,.1f}", order=seconds)


def _interval(value: Interval) -> dict[str, Any]:
    return {"mean": value.mean, "low": value.low, "high": value.high, "n": value.n, "clusters": value.clusters}
