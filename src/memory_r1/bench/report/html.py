"""A report as one HTML page that loads nothing from anywhere: tables and pictures work without JavaScript."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from importlib.resources import files
from itertools import groupby

from memory_r1.bench.report import pictures
from memory_r1.bench.report.document import Beside, Block, Cell, Column, Document, Picture, Points, Section, Table

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""The browser itself refuses anything from outside."""


def to_html(document: Document, *, packed: str, right: str, show: str = "") -> str:
    """Render a report.

    Args:
        document: The report.
        packed: All questions, by `memory_r1.bench.report.questions.pack`.
        right: What makes an answer count as right, for the reader.
        show: Which questions the list begins with: all, or `split`, those on which systems disagree.
    """
    assets = files("memory_r1.bench.report")
    css = (assets / "page.css").read_text(encoding="utf-8")
    js = (assets / "page.js").read_text(encoding="utf-8")
    links = "".join(f'<a href="#{one.anchor}">{escape(one.title)}</a>' for one in document.sections)
    return "\n".join(
        (
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(document.title)}</title>",
            f"<style>\n{css}{pictures.style()}</style></head><body>",
            _header(document),
            f'<nav>{links}<a href="#questions">Questions</a></nav>',
            "<main>",
            *(_section(one) for one in document.sections),
            _browser(right, show),
            "</main>",
            f'<script type="text/plain" id="packed">{packed}</script>',
            f"<script>\n{js}</script>",
            "</body></html>\n",
        )
    )


def _header(document: Document) -> str:
    facts = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in document.facts)
    command = f"<pre><code>{escape(document.command)}</code></pre>" if document.command else ""
    warnings = "".join(f'<p class="warning" role="alert">{escape(one)}</p>' for one in document.warnings)
    return f"<header><h1>{escape(document.title)}</h1>{warnings}<dl>{facts}</dl>{command}</header>"


def _section(section: Section) -> str:
    intro = f"<p>{escape(section.intro)}</p>" if section.intro else ""
    blocks = "".join(part for block in section.blocks for part in _block(block))
    return f'<section id="{section.anchor}"><h2>{escape(section.title)}</h2>{intro}{blocks}</section>'


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Beside):
        yield '<div class="beside">'
        yield from (_table(table) for table in block.tables)
        yield "</div>"
    elif isinstance(block, Table):
        yield _table(block)
    elif isinstance(block, Picture):
        panels = "".join(pictures.framed(panel) for panel in block.panels)
        yield f'<figure class="picture"><div class="panels">{panels}</div>'
        yield f"<figcaption>{escape(block.caption)}</figcaption></figure>"
    elif isinstance(block, Points):
        yield f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in block.lines)}</ul>"


def _table(table: Table) -> str:
    head = _group_row(table.columns) + f"<tr>{''.join(_head(column) for column in table.columns)}</tr>"
    rows = "".join(_row(row, table.columns) for row in table.rows)
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in table.notes)
    return (
        f'<div class="table{" foreign" if table.foreign else ""}"><h3>{escape(table.title)}</h3>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.title)}">'
        f"<table><thead>{head}</thead><tbody>{rows}</tbody></table></div>{notes}</div>"
    )


def _group_row(columns: tuple[Column, ...]) -> str:
    if not any(column.group for column in columns):
        return ""
    parts = []
    for group, members in groupby(columns, key=lambda column: column.group):
        kind, width = ("group" if group else "none"), len(list(members))
        parts.append(f'<th class="{kind}" scope="colgroup" colspan="{width}">{escape(group)}</th>')
    return f"<tr>{''.join(parts)}</tr>"


def _head(column: Column) -> str:
    return f'<th scope="col"{_class("" if column.number else "text", _whole(column.name))}>{escape(column.name)}</th>'


def _whole(name: str) -> str:
    """Keeps a short name on one line, for it could be broken at its hyphen."""
    return "whole" if len(name) <= _SHORT else ""


_SHORT = 12


def _class(*names: str) -> str:
    kept = " ".join(name for name in names if name)
    return f' class="{kept}"' if kept else ""


def _row(row: tuple[Cell, ...], columns: tuple[Column, ...]) -> str:
    first, *others = row
    cells = [f'<th scope="row"{_class(_whole(first.text))}>{_inside(first)}</th>']
    for cell, column in zip(others, columns[1:], strict=True):
        order = "" if cell.order is None else f' data-order="{cell.order:.6g}"'
        cells.append(f"<td{_class('' if column.number else 'text')}{order}>{_inside(cell)}</td>")
    return f"<tr{_class('warned' if first.warning else '')}>{''.join(cells)}</tr>"


def _inside(cell: Cell) -> str:
    text = f"<b>{escape(cell.text)}</b>" if cell.strong else escape(cell.text)
    return f"{text}<small>{escape(cell.detail)}</small>" if cell.detail else text


def _browser(right: str, show: str) -> str:
    split = " selected" if show == "split" else ""
    return f"""<section id="questions"><h2>Questions</h2>
<p>Every question, each system's answer, its scores, and the memories its reader was given; ★ marks those it kept, and a
turn in green is one that holds the answer. {escape(right)}</p>
<noscript><p class="warning">This list needs JavaScript. The same is in systems/NAME/predictions.jsonl of the run's
folder.</p></noscript>
<form id="filters" hidden onsubmit="return false">
<label class="wide">Search <input type="search" name="text" placeholder="words in question, gold or answers"></label>
<label>Category <select name="category"><option value="">all</option></select></label>
<label>Show <select name="show">
<option value="">all questions</option><option value="split"{split}>where systems disagree</option>
<option value="none">none is right</option><option value="every">every one is right</option>
<option value="error">with an error</option></select></label>
<label>Right <select name="right"><option value="">any</option></select></label>
<label>Wrong <select name="wrong"><option value="">any</option></select></label>
</form>
<p id="count" aria-live="polite"></p><div id="list"></div><button id="more" type="button" hidden>Show more</button>
</section>"""
