"""`bench report` and `bench compare`: read a benchmark run, and two beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from memory_r1.bench.report.compare import Comparison, Pair
    from memory_r1.bench.report.document import Cell, Document, Table
    from memory_r1.bench.report.write import Report


def report(
    folder: Annotated[Path, typer.Argument(help="A run's folder.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs to read.")] = False,
) -> None:
    """Write report.md and report.html into a run's folder, and show its scores.

    Works while the run is still going on. Ends with status 1 if a system raised on more than 1 % of its questions.
    """
    from memory_r1.bench.report import write_report
    from memory_r1.cli.output import print_json

    written = write_report(folder)
    if as_json:
        print_json(
            {
                "markdown": str(written.markdown),
                "html": str(written.html),
                "failed": list(written.failed),
                "warnings": list(written.document.warnings),
            }
        )
    else:
        _show_report(written)
    if written.failed:
        raise typer.Exit(1)


def compare(
    folder_a: Annotated[Path, typer.Argument(metavar="FIRST", help="A run's folder.", show_default=False)],
    folder_b: Annotated[
        Path,
        typer.Argument(metavar="SECOND", help="Another, or the same for two of its systems.", show_default=False),
    ],
    system: Annotated[
        str | None, typer.Option(metavar="NAME", help="The first run's system; by default all that both have.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(metavar="NAME", help="The second run's system; by default the one of the same name.")
    ] = None,
    most: Annotated[
        int, typer.Option("--show", min=0, help="How many questions to list that only one of them has right.")
    ] = 10,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with every question as well.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs to read.")] = False,
) -> None:
    """Compare two runs question by question: scores, their paired difference, and where only one is right.

    Both must have been asked the same questions.
    """
    from memory_r1.bench.report.compare import compare_runs
    from memory_r1.bench.report.compare_document import to_page
    from memory_r1.cli.output import console, note, print_json

    found = compare_runs(folder_a, folder_b, system=system, against=against)
    if html is not None:
        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(to_page(found), encoding="utf-8", errors="replace")
        note(f"Wrote {html}")
    if as_json:
        print_json([_as_json(pair) for pair in found.pairs])
    else:
        _show_comparison(console(), found, most)


def _show_report(written: Report) -> None:
    from memory_r1.cli.output import console, shown

    screen = console()
    show_scores(screen, written.document)
    for file in (written.markdown, written.html):
        screen.print(f"Wrote {shown(str(file))}", markup=False)


def show_scores(screen: Console, document: Document) -> None:
    """Print what a reader must know of a run, its scores with n and intervals, and how often systems abstain."""
    from memory_r1.bench.report.document import Beside, Table
    from memory_r1.cli.output import note

    for warning in document.warnings:
        note(warning)
    first, *others = document.sections
    for section in (first, *(one for one in others if one.anchor == "abstention")):
        for block in section.blocks:
            # the second is the paper's
            table = block.tables[0] if isinstance(block, Beside) else block
            if isinstance(table, Table) and table.rows:
                _print_table(screen, table)


def _show_comparison(screen: Console, found: Comparison, most: int) -> None:
    from memory_r1.bench.report import compare_document as tables
    from memory_r1.cli.output import note, shown

    for warning in tables.warnings(found):
        note(warning)
    screen.print(f"first   {shown(str(found.first.folder))}", markup=False)
    screen.print(f"second  {shown(str(found.second.folder))}", markup=False)
    for pair in found.pairs:
        screen.print()
        screen.print(f"[bold]{_plain(pair.name)}[/bold]")
        listed = [tables.questions_table(pair, verdict, most) for verdict in tables.DISAGREE] if most else []
        for table in (
            tables.scores_table(pair),
            tables.categories_table(found, pair),
            tables.verdicts_table(pair),
            *listed,
        ):
            if table is not None:
                screen.print()
                _print_table(screen, table)
    settings = tables.settings_table(found)
    if settings is not None:
        screen.print()
        _print_table(screen, settings)


def _print_table(screen: Console, table: Table) -> None:
    screen.print(rich_table(table))
    for note in table.notes:
        screen.print(f"[dim]{_plain(note)}[/dim]")


def rich_table(table: Table) -> Any:
    """A table of a report for the terminal."""
    from rich.table import Table as RichTable

    view = RichTable(
        box=None,
        pad_edge=False,
        title=_plain(table.title),
        title_justify="left",
        title_style="italic",
    )
    for place, column in enumerate(table.columns):
        name = f"{column.group}: {column.name}" if column.group else column.name
        view.add_column(_plain(name), justify="right" if column.number else "left", no_wrap=column.number or place == 0)
    for row in table.rows:
        view.add_row(*(_rich_cell(cell) for cell in row))
    return view


def _rich_cell(cell: Cell) -> str:
    text = _plain(cell.text)
    if cell.warning:
        text = f"[red]{text}[/red]"
    elif cell.strong:
        text = f"[bold]{text}[/bold]"
    return f"{text} [dim]({_plain(cell.detail)})[/dim]" if cell.detail else text


def _plain(text: str) -> str:
    from rich.markup import escape

    from memory_r1.cli.output import shown

    return escape(shown(text))


def _as_json(pair: Pair) -> dict[str, Any]:
    from memory_r1.bench.report.compare import METRICS

    differences = {metric.key: pair.difference(metric) for metric in METRICS}
    return {
        "first": pair.first.name,
        "second": pair.second.name,
        "right": "judge_generous" if pair.judged else "mem0_f1",
        "scores": {
            name: {
                "n": found.gap.n,
                # the difference is second minus first
                "first": found.second,
                "second": found.first,
                "difference": found.gap.mean,
                "low": found.gap.low,
                "high": found.gap.high,
            }
            for name, found in differences.items()
            if found is not None
        },
        "questions": {
            verdict: [{"conversation": key[0], "question_id": key[1]} for key in keys]
            for verdict, keys in pair.by_verdict().items()
        },
    }
