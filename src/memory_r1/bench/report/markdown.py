"""A report as Markdown: the same tables, and its pictures as files beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from memory_r1.bench.report.document import Beside, Block, Cell, Column, Document, Picture, Points, Table

PICTURES = "pictures"
"""Folder of the pictures, beside the Markdown file."""

_SPECIAL = re.compile(r"([\\`*_\[\]|~#])")


def to_markdown(document: Document, *, html: str = "") -> str:
    """Render a report.

    Args:
        document: The report.
        html: Name of the HTML page beside it, which also shows every question.
    """
    lines = [f"# {escape(document.title)}", ""]
    for warning in document.warnings:
        lines += [f"> **{escape(warning)}**", ">"]
    if document.warnings:
        lines[-1] = ""
    lines += [f"- {escape(name)}: {escape(value)}" for name, value in document.facts]
    lines += ["", *_code(document.command)]
    if html:
        lines += [f"Every question, with each system's answer and the memories it used: [{html}]({html}).", ""]
    for section in document.sections:
        lines += [f"## {escape(section.title)}", ""]
        if section.intro:
            lines += [escape(section.intro), ""]
        for block in section.blocks:
            lines += _block(block)
    return "\n".join(lines).rstrip() + "\n"


def escape(text: str) -> str:
    r"""A text that Markdown shows as it is, in one line.

    Example:
        >>> escape("a|b <i>\nc_d")
        'a\\|b &lt;i&gt; c\\_d'
    """
    one_line = " ".join(text.split())
    escaped = _SPECIAL.sub(r"\\\1", one_line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
    return escaped


def _code(command: str) -> list[str]:
    if not command:
        return []
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", command)), default=0))
    return [f"{fence}sh", *command.splitlines(), fence, ""]


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Beside):
        for table in block.tables:
            yield from _table(table)
    elif isinstance(block, Table):
        yield from _table(block)
    elif isinstance(block, Picture):
        yield from (f"![{escape(block.caption)}]({PICTURES}/{block.name}.svg)", "", escape(block.caption), "")
    elif isinstance(block, Points):
        yield from (*(f"- {escape(line)}" for line in block.lines), "")


def _table(table: Table) -> Iterator[str]:
    yield f"### {escape(table.title)}"
    yield ""
    yield _row([_heading(column) for column in table.columns])
    yield _row(["---:" if column.number else "---" for column in table.columns])
    for row in table.rows:
        yield _row([_cell(cell) for cell in row])
    yield ""
    for note in table.notes:
        yield escape(note)
        yield ""


def _heading(column: Column) -> str:
    return escape(f"{column.group}: {column.name}" if column.group else column.name)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    text = escape(cell.text)
    if cell.strong:
        text = f"**{text}**"
    return f"{text} ({escape(cell.detail)})" if cell.detail else text
