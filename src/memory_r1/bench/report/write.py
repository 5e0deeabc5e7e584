"""Writes a run's report into its folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from memory_r1.bench.report.build import build
from memory_r1.bench.report.categories import Category, categories_of
from memory_r1.bench.report.document import Document, Picture
from memory_r1.bench.report.html import to_html
from memory_r1.bench.report.markdown import PICTURES, to_markdown
from memory_r1.bench.report.pictures import standalone
from memory_r1.bench.report.questions import RIGHT_F1, pack
from memory_r1.bench.report.run import Run, load_run

MARKDOWN, HTML = "report.md", "report.html"


@dataclass(frozen=True, slots=True)
class Report:
    """A report that was written."""

    markdown: Path
    html: Path
    document: Document
    failed: tuple[str, ...]
    """Systems that raised on too many of their questions."""


def write_report(folder: str | Path) -> Report:
    """Write `report.md`, its pictures and `report.html` into a run's folder, in place of those of before.

    The same run gives the same files, byte for byte.

    Args:
        folder: A run folder, as `memory_r1.bench.records` describes it; a run may still be going on.

    Raises:
        NotFoundError: It is no run folder.
        InvalidInputError: A file of it is damaged, nothing was answered yet, or an answer was never scored.
    """
    run = load_run(folder)
    document = build(run)
    judged = judged_by_model(run)
    packed = pack([(one.name, one) for one in run.systems], run.questions, all_categories(run), judged=judged)
    markdown, html = run.folder / MARKDOWN, run.folder / HTML
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Picture):
                _replace(run.folder / PICTURES / f"{block.name}.svg", standalone(block))
    _replace(markdown, to_markdown(document, html=HTML))
    _replace(html, to_html(document, packed=packed, right=what_is_right(judged=judged)))
    return Report(markdown, html, document, tuple(one.name for one in run.systems if one.failed))


def judged_by_model(run: Run) -> bool:
    """Whether every system has the generous judge's verdicts."""
    return all(any("judge_generous" in one.scores for one in system.predictions.values()) for system in run.systems)


def all_categories(run: Run) -> list[Category]:
    """The categories of all questions, each once, the answerable ones first."""
    both = (*categories_of(run, answerable=True), *categories_of(run, answerable=False))
    return list({one.key: one for one in both}.values())


def what_is_right(*, judged: bool) -> str:
    """How a reader is told when an answer counts as right."""
    if judged:
        return "An answer counts as right if the generous judge says so."
    return f"Without a judge, an answer counts as right from an F1 (Mem0) of {100 * RIGHT_F1:.0f} on."


def _replace(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.new")
    # a model may have written half a surrogate pair
    temporary.write_text(text, encoding="utf-8", errors="replace")
    os.replace(temporary, file)
